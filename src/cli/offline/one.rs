//! `tabletctl tablet import DIR`: one tablet.

use std::path::Path;

use super::hooks::Means;
use super::import::Importer;
use super::locked::open_to_change;
use super::wish::{Said, understand};
use crate::cli::args::{ImportArgs, Output};
use crate::cli::exit::{CliError, Exit, print, print_json};
use crate::cli::table::human_bytes;
use crate::model::{ErrorCode, Failure, counted};
use crate::storage::DirectBarrier;

/// `tabletctl tablet import DIR`.
///
/// # Errors
/// [`Exit::Refused`] when the root is held or the directory is no tablet; [`Exit::Failed`] when a disk says no.
pub fn import_one(dir: &Path, args: &ImportArgs, output: Output) -> Result<(), CliError> {
    let locked = open_to_change(&args.root)?;
    let barrier = DirectBarrier(locked.root.dir());
    let importer = Importer::new(&locked.root, &locked.path, &barrier, Means::for_one())
        .map_err(|error| CliError::new(Exit::Failed, error))?;
    let said = Said {
        dir: dir.to_owned(),
        tablet_id: args.tablet_id.map(|id| id.0),
        schema_hash: args.schema_hash.map(|hash| hash.0),
        table_id: args.table_id,
        partition_id: args.partition_id,
        shard: args.shard.map(|shard| shard.0),
        header: args.header.clone(),
    };
    let imported = understand(&said, importer.root())
        .and_then(|wish| importer.import(&wish))
        .map_err(|failure| CliError::new(exit_of(&failure), failure))?;
    match output {
        Output::Json => print_json(&imported),
        Output::Text => {
            let verb = if imported.adopted_in_place { "adopted where it stands" } else { "imported" };
            let (files, bytes) = (counted(imported.files, "file"), human_bytes(imported.bytes));
            print(&format!("{verb}: {imported}, {files}, {bytes}\n"))
        }
    }
}

/// Refusals come before anything was written.
fn exit_of(failure: &Failure) -> Exit {
    match failure.code {
        ErrorCode::InvalidArgument | ErrorCode::UnexpectedEntry => Exit::Refused,
        _ => Exit::Failed,
    }
}
