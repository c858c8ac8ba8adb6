//! `tabletctl tablet show`: one metadata record, as it is on the disk.

use std::fmt::Write;
use std::path::Path;

use serde_json::value::RawValue;

use super::locked::open_to_read;
use crate::cli::args::Output;
use crate::cli::exit::{CliError, Exit, print, print_json};
use crate::cli::table::{Align, Table, human_bytes};
use crate::model::{Manifest, SchemaHash, ShardId, TabletId, TabletKey, TabletRecord, TabletState};
use crate::storage::layout::{META, parse_record_name, tablet_dir};
use crate::storage::{Dir, DiskError, MetadataStore, NativeStore};

#[derive(serde::Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    key: TabletKey,
    generation: u64,
    table_id: i64,
    partition_id: i64,
    shard_id: ShardId,
    state: TabletState,
    path: String,
    manifest: &'a Manifest,
    tablet_meta: &'a RawValue,
}

/// Prints the record of a tablet; with several schema hashes, all of them.
///
/// # Errors
/// [`Exit::Failed`] when there is none or it is damaged; [`Exit::Refused`] when the root is held.
pub fn show(tablet: TabletId, hash: Option<SchemaHash>, root: &Path, output: Output) -> Result<(), CliError> {
    let locked = open_to_read(root)?;
    let failed = |error: &dyn std::fmt::Display| CliError::new(Exit::Failed, error);
    let keys = keys_of(locked.root.dir(), tablet, hash).map_err(|error| failed(&error))?;
    if keys.is_empty() {
        let text = format!("{}: no record of tablet {tablet}; look at the other roots", locked.path);
        return Err(CliError::new(Exit::Failed, text));
    }
    let store = NativeStore::open(locked.root.dir()).map_err(|error| failed(&error))?;
    for key in keys {
        let record = store.get(key).map_err(|error| failed(&error))?;
        let Some(record) = record else { continue };
        let path = format!("{}/{}", locked.path.trim_end_matches('/'), tablet_dir(record.shard_id, key));
        match output {
            Output::Json => print_json(&Shown {
                key,
                generation: record.generation,
                table_id: record.table_id(),
                partition_id: record.partition_id,
                shard_id: record.shard_id,
                state: record.state,
                path,
                manifest: &record.manifest,
                tablet_meta: &record.tablet_meta,
            })?,
            Output::Text => print(&to_text(&record, &path))?,
        }
    }
    Ok(())
}

fn keys_of(root: &Dir, tablet: TabletId, hash: Option<SchemaHash>) -> Result<Vec<TabletKey>, DiskError> {
    let mut keys = Vec::new();
    root.open(META)?.for_each::<DiskError>(|name, _| {
        let key = name.to_str().and_then(parse_record_name);
        keys.extend(
            key.filter(|key| key.tablet_id == tablet && hash.is_none_or(|hash| key.schema_hash == hash)),
        );
        Ok(())
    })?;
    keys.sort_unstable();
    Ok(keys)
}

fn to_text(record: &TabletRecord, path: &str) -> String {
    let mut out = String::new();
    let (files, bytes) = (record.manifest.files().len(), human_bytes(record.manifest.total_bytes()));
    for (name, value) in [
        ("tablet", record.key.tablet_id.to_string()),
        ("schema hash", record.key.schema_hash.to_string()),
        ("table", record.table_id().to_string()),
        ("partition", record.partition_id.to_string()),
        ("generation", record.generation.to_string()),
        ("directory", path.to_owned()),
        ("files", format!("{files}, {bytes}")),
        (
            "header",
            format!("{} bytes of TabletMetaPB JSON (--json shows it)", record.tablet_meta.get().len()),
        ),
    ] {
        let _ = writeln!(out, "{name:<12} {value}");
    }
    let mut table = Table::new(&[("  FILE", Align::Left), ("BYTES", Align::Right), ("CRC-32", Align::Left)]);
    for file in record.manifest.files() {
        let crc32 = file.crc32.map_or_else(|| "-".to_owned(), |crc32| format!("{crc32:08x}"));
        table.row([format!("  {}", file.name), file.size_bytes.to_string(), crc32]);
    }
    out + &table.render()
}
