//! What is to be imported: from the command line or a batch line to a checked wish.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;

use crate::cli::input::read_input;
use crate::model::{ErrorCode, Failure, HeaderTable, SHARD_COUNT, ShardId, TabletKey};
use crate::storage::{Dir, HeaderFields, Root, read_header, synthesize_header_in};

/// Where the directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whereabouts {
    /// Anywhere: its files are copied.
    Elsewhere,
    /// Where the tablet belongs on this root: its files stay.
    InPlace,
}

/// A tablet to be.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) dir: Dir,
    pub(super) place: Whereabouts,
    pub(super) key: TabletKey,
    pub(super) partition_id: i64,
    pub(super) shard_id: ShardId,
    pub(super) tablet_meta: Box<RawValue>,
}

/// What was said about a tablet to be; what was not said comes from the header or from where the directory is.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    pub(super) dir: PathBuf,
    pub(super) tablet_id: Option<i64>,
    pub(super) schema_hash: Option<i32>,
    pub(super) table_id: Option<i64>,
    pub(super) partition_id: Option<i64>,
    pub(super) shard: Option<u16>,
    pub(super) header: Option<PathBuf>,
}

/// Makes a wish of what was said.
///
/// # Errors
/// `INVALID_ARGUMENT`, saying what is missing, contradicts itself or cannot be read.
pub(super) fn understand(said: &Said, root: &Root) -> Result<Wish, Failure> {
    let dir = open_dir(&said.dir)?;
    let stands_at = place_below(root, &dir)?;
    let header = said.header.as_deref().map(read_header_file).transpose()?;
    let fields = header.as_ref().map(|(fields, _)| fields);
    let key = identity(said, fields, stands_at.map(|(_, key)| key))?;
    if let Some((_, standing)) = stands_at
        && standing != key
    {
        let path = dir.path().display();
        return Err(invalid(format!("{path} is where tablet {standing} belongs, and this is to be {key}")));
    }
    let chosen = said.shard.map(|shard| shard.to_string().parse()).transpose();
    let chosen: Option<ShardId> =
        chosen.map_err(|error: crate::model::InvalidId| invalid(error.to_string()))?;
    let shard_id = match (stands_at, chosen) {
        (Some((stands, _)), Some(chosen)) if stands != chosen => {
            return Err(invalid(format!(
                "the directory stands in shard {stands}; leave out --shard {chosen}"
            )));
        }
        (Some((stands, _)), _) => stands,
        (None, Some(chosen)) => chosen,
        (None, None) => fields.and_then(|fields| fields.shard_id).unwrap_or_else(|| shard_of(key)),
    };
    let partition_id = said.partition_id.or(fields.map(|fields| fields.partition_id)).unwrap_or(0);
    let tablet_meta = match header {
        Some((_, verbatim)) if said.table_id.is_some_and(|table| table != HeaderTable::of(&verbatim).0) => {
            return Err(invalid("table_id differs from the header's; leave it out"));
        }
        Some((_, verbatim)) => verbatim,
        None => {
            let now_s = chrono::Utc::now().timestamp();
            synthesize_header_in(said.table_id.unwrap_or(0), key, partition_id, shard_id, now_s)
        }
    };
    let place = if stands_at.is_some() { Whereabouts::InPlace } else { Whereabouts::Elsewhere };
    Ok(Wish { dir, place, key, partition_id, shard_id, tablet_meta })
}

fn invalid(text: impl Into<String>) -> Failure {
    Failure::new(ErrorCode::InvalidArgument, text)
}

fn open_dir(path: &Path) -> Result<Dir, Failure> {
    let unusable = |error: &dyn std::fmt::Display| invalid(format!("{}: {error}", path.display()));
    let path = fs::canonicalize(path).map_err(|error| unusable(&error))?;
    Dir::open_absolute(&path).map_err(|error| invalid(error.to_string()))
}

/// The tablet whose place on this root `dir` is, if it is one.
fn place_below(root: &Root, dir: &Dir) -> Result<Option<(ShardId, TabletKey)>, Failure> {
    let Ok(root_path) = fs::canonicalize(root.dir().path()) else { return Ok(None) };
    let Ok(below) = dir.path().strip_prefix(root_path) else { return Ok(None) };
    let parts: Vec<&str> = below.iter().filter_map(|part| part.to_str()).collect();
    match parts.as_slice() {
        ["data", shard, tablet_id, schema_hash] => {
            let location = (shard.parse(), tablet_id.parse(), schema_hash.parse());
            let (Ok(shard), Ok(tablet_id), Ok(schema_hash)) = location else { return Ok(None) };
            Ok(Some((shard, TabletKey { tablet_id, schema_hash })))
        }
        [] | ["data", ..] => {
            let path = dir.path().display();
            Err(invalid(format!(
                "{path}: not a tablet's directory; name data/<shard>/<tablet_id>/<schema_hash>"
            )))
        }
        _ => Ok(None),
    }
}

fn identity(
    said: &Said,
    header: Option<&HeaderFields>,
    stands_at: Option<TabletKey>,
) -> Result<TabletKey, Failure> {
    if let Some(header) = header {
        let differs = |name: &str| Err(invalid(format!("{name} differs from the header's; leave it out")));
        if said.tablet_id.is_some_and(|id| id != header.key.tablet_id.0) {
            return differs("tablet_id");
        }
        if said.schema_hash.is_some_and(|hash| hash != header.key.schema_hash.0) {
            return differs("schema_hash");
        }
        return Ok(header.key);
    }
    let tablet_id =
        said.tablet_id.map(|id| id.to_string().parse()).or(stands_at.map(|key| Ok(key.tablet_id)));
    let schema_hash =
        said.schema_hash.map(|hash| hash.to_string().parse()).or(stands_at.map(|key| Ok(key.schema_hash)));
    let (Some(tablet_id), Some(schema_hash)) = (tablet_id, schema_hash) else {
        return Err(invalid("which tablet is this? Give --tablet-id and --schema-hash, or --header FILE"));
    };
    let of_form = |error: crate::model::InvalidId| invalid(error.to_string());
    Ok(TabletKey { tablet_id: tablet_id.map_err(of_form)?, schema_hash: schema_hash.map_err(of_form)? })
}

fn shard_of(key: TabletKey) -> ShardId {
    let shard = key.tablet_id.0.rem_euclid(i64::from(SHARD_COUNT));
    ShardId(u16::try_from(shard).expect("a remainder below 1024"))
}

/// The fields that matter, and the text as it is.
pub(in crate::cli) fn read_header_file(path: &Path) -> Result<(HeaderFields, Box<RawValue>), Failure> {
    let wrong = |what: &dyn std::fmt::Display| invalid(format!("header {}: {what}", path.display()));
    let bytes = read_input(path).map_err(|error| wrong(&error))?;
    if bytes.is_empty() {
        return Err(wrong(&"it is empty, or a pipe that nobody writes to"));
    }
    if bytes.contains(&0) {
        return Err(wrong(
            &"this is a binary .hdr; print it as JSON first, with Doris's \
              'meta_tool --operation=show_meta --pb_meta_path=FILE' or from '/api/meta/header/<tablet_id>'",
        ));
    }
    let text =
        String::from_utf8(bytes).map_err(|_| wrong(&"not UTF-8, so not a TabletMetaPB in JSON form"))?;
    let fields = read_header(&text).map_err(|error| wrong(&error))?;
    let verbatim = RawValue::from_string(text).map_err(|error| wrong(&error))?;
    Ok((fields, verbatim))
}
