//! Keys Doris 3.0 knows that mean nothing here, so that a node's existing be.conf starts the daemon and its operator
//! is told, once, what has no effect. Also the guess at what a misspelt key was meant to be.

use super::keys::KEYS;

const REPLICATION: &str = "cluster traffic: this daemon serves HTTP only";
const TLS: &str =
    "enable_https is not true; tls_certificate_file and tls_private_key_file turn TLS on as well";
const COPY: &str = "what appears during a copy is caught up once the tablet's gate is closed";
const SLOTS: &str = "slots per disk and max_tablet_migration_threads decide";
const ALWAYS_SYNCED: &str = "data and records are always synced";
const ROCKSDB: &str = "records are not kept in RocksDB";
const SWEEP: &str = "there are no such leftovers here";
const CATALOG: &str = "start-up settles every contradiction by itself";
const REPORT: &str = "there is no frontend to report to";
const ROUTES: &str = "there is no such route";
const LOGS: &str = "the log goes to standard error";
const QUERIES: &str = "no queries run here";

/// Key and why it has no meaning.
pub(super) static DORIS_ONLY: &[(&str, &str)] = &[
    ("arrow_flight_sql_port", REPLICATION),
    ("aws_log_level", QUERIES),
    ("be_port", REPLICATION),
    ("brpc_port", REPLICATION),
    ("enable_debug_points", ROUTES),
    ("enable_https", TLS),
    ("enable_snapshot_action", ROUTES),
    ("enable_token_check", ROUTES),
    ("garbage_sweep_batch_size", SWEEP),
    ("generate_tablet_meta_checkpoint_tasks_interval_secs", ROCKSDB),
    ("heartbeat_service_port", REPLICATION),
    ("ignore_invalid_partition_id_rowset_num", CATALOG),
    ("ignore_load_tablet_failure", CATALOG),
    ("jdbc_drivers_dir", QUERIES),
    ("load_data_dirs_threads", "each storage root is opened by a thread of its own"),
    ("log_buffer_level", LOGS),
    ("max_percentage_of_error_disk", "the daemon goes on serving the disks that are left"),
    ("mem_limit", QUERIES),
    (
        "memory_limitation_per_thread_for_storage_migration_bytes",
        "copy_memory_limit_bytes bounds copy buffers",
    ),
    ("migration_lock_timeout_ms", COPY),
    ("migration_remaining_size_threshold_mb", COPY),
    ("min_tablet_migration_threads", SLOTS),
    ("path_gc_check", CATALOG),
    ("path_gc_check_interval_second", CATALOG),
    ("path_gc_check_step", CATALOG),
    ("path_gc_check_step_interval_ms", CATALOG),
    ("pending_data_expire_time_sec", SWEEP),
    ("priority_networks", "webserver_bind_host names the address"),
    ("report_disk_state_interval_seconds", REPORT),
    ("report_random_wait", REPORT),
    ("report_tablet_interval_seconds", REPORT),
    ("report_task_interval_seconds", REPORT),
    ("rocksdb_max_write_buffer_number", ROCKSDB),
    ("snapshot_expire_time_sec", SWEEP),
    ("ssl_certificate_path", TLS),
    ("ssl_private_key_path", TLS),
    ("storage_medium_migrate_count", SLOTS),
    ("storage_strict_check_incompatible_old_format", CATALOG),
    ("sync_file_on_close", ALWAYS_SYNCED),
    ("sync_tablet_meta", ALWAYS_SYNCED),
    ("sys_log_dir", LOGS),
    ("sys_log_roll_mode", LOGS),
    ("sys_log_roll_num", LOGS),
    ("sys_log_verbose_modules", LOGS),
    ("tablet_map_shard_size", "the catalog is one map"),
    ("tablet_meta_checkpoint_min_interval_secs", ROCKSDB),
    ("tablet_meta_checkpoint_min_new_rowsets_num", ROCKSDB),
    ("tablet_meta_serialize_size_limit", ROCKSDB),
    ("tablet_path_check_interval_seconds", CATALOG),
    ("tablet_rowset_stale_sweep_time_sec", SWEEP),
];

/// Why `key`, known to Doris, means nothing here; none when Doris 3.0 does not have it or it means something.
pub(super) fn reason_ignored(key: &str) -> Option<&'static str> {
    DORIS_ONLY.iter().find(|(name, _)| *name == key).map(|(_, reason)| *reason)
}

/// The key of this daemon that `unknown` is a likely slip of: at most a third of its letters differ, and no more
/// than three.
pub(super) fn closest(unknown: &str) -> Option<&'static str> {
    let limit = (unknown.chars().count() / 3).min(3);
    KEYS.iter()
        .map(|key| (edit_distance(unknown, key.name), key.name))
        .min()
        .filter(|(distance, _)| *distance <= limit)
        .map(|(_, name)| name)
}

/// Letters to insert, delete or replace (Levenshtein) to make one text the other.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, a) in left.chars().enumerate() {
        let mut diagonal = above;
        row[0] = above + 1;
        for (index, &b) in right.iter().enumerate() {
            let replace = diagonal + usize::from(a != b);
            diagonal = row[index + 1];
            row[index + 1] = replace.min(diagonal + 1).min(row[index] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_ours_or_ignored_never_both() {
        for (index, (name, reason)) in DORIS_ONLY.iter().enumerate() {
            assert!(KEYS.iter().all(|key| key.name != *name), "{name} is in both tables");
            assert!(DORIS_ONLY[..index].iter().all(|(other, _)| other < name), "{name} is out of order");
            assert!(!reason.is_empty());
        }
    }

    #[test]
    fn distance_counts_single_letters() {
        for (left, right, distance) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("abc", "abc", 0),
            ("kitten", "sitting", 3),
            ("ab", "ba", 2),
        ] {
            assert_eq!(edit_distance(left, right), distance, "{left} {right}");
        }
    }

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        for (unknown, guess) in [
            ("webserver_prot", Some("webserver_port")),
            ("storage_root_paths", Some("storage_root_path")),
            ("Ignore_broken_disk", Some("ignore_broken_disk")),
            ("max_compaction_threads", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(closest(unknown), guess, "{unknown:?}");
        }
    }
}
