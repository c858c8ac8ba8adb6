//! The table of keys: name, type, default, whether it can change at run time, what is accepted, what it does.
//!
//! Names and meanings that Doris has are kept; a default that differs from Doris 3.0 says why. Everything else about
//! configuration (the struct, reading, showing, setting) is made from these rows; `conf/be.conf` is held to them by a
//! test.

use std::net::{IpAddr, Ipv4Addr};

use super::rates::DiskRates;
use super::schema::{Mutability, Row, config_keys, read_value};
use super::value::Rule::{self, AbsolutePath, Any, Bytes, MultipleOf, Range};
use super::value::{
    BrokenDisks, CatalogCheck, Dialect, HttpAuth, IoClass, LogFormat, LogLevel, LoopbackAccess,
    MetricsAccess, SameFileSystem, Throttle, Value,
};
use crate::model::{CapacityRule, DailyWindows, FileOwner, LeftBytes, LeftBytesFrom};

const MAX_I32: i64 = i32::MAX as i64;
const KIB: i64 = 1 << 10;
const MIB: i64 = 1 << 20;
const GIB: i64 = 1 << 30;

config_keys! {
    // Storage roots and places.

    /// Directories that hold tablets: `path[,medium:ssd|hdd|remote_cache][,capacity:GiB]`, separated by `;`.
    /// Default `${DORIS_HOME}/storage`; without DORIS_HOME it must be set.
    storage_root_path: String = String::new(), Fixed, Any;

    /// Whether the daemon starts without the disks that are broken; otherwise one broken disk keeps it from starting.
    ignore_broken_disk: BrokenDisks = BrokenDisks::RefuseStart, Fixed, Any;

    /// Roots that are left alone, `p1;p2;`: neither opened at the start nor later, until they are off this list.
    broken_storage_path: String = String::new(), Mutable, Any;

    /// Directory of the journal. Default `${DORIS_HOME}/state`; without DORIS_HOME `state` beside the folder of
    /// be.conf if that is called `conf`, else inside it.
    state_dir: String = String::new(), Fixed, AbsolutePath;

    /// Directory of be_custom.conf, which is read after be.conf and wins. Default: the folder of be.conf.
    custom_config_dir: String = String::new(), Fixed, AbsolutePath;

    /// Whether start-up looks at the directory of every tablet, instead of believing the records.
    catalog_check_on_start: CatalogCheck = CatalogCheck::StatDirectories, Fixed, Any;

    /// Open files below which a warning is logged at start.
    min_file_descriptor_number: u64 = 60_000, Fixed, Range(0, i64::MAX);

    // HTTP.

    /// TCP port of the HTTP service; 0 takes any free port.
    webserver_port: u16 = 8040, Fixed, Range(0, 65_535);

    // Doris listens everywhere. An interface that moves data is opened to the network only on purpose.
    /// Address the HTTP service listens on.
    webserver_bind_host: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST), Fixed, Any;

    /// Threads that answer HTTP requests.
    webserver_num_workers: u32 = 48, Fixed, Range(1, 4096);

    /// Whether every HTTP request but /api/health wants credentials, also before the first token is made; after that
    /// every request does, whatever this says. Beyond loopback it has to be written, one way or the other.
    enable_all_http_auth: HttpAuth = HttpAuth::Off, Fixed, Any;

    /// Whether requests from this host need no credentials although others do.
    allow_loopback_without_credentials: LoopbackAccess = LoopbackAccess::AsOthers, Fixed, Any;

    /// Whether /metrics needs no credentials although other paths do.
    metrics_without_credentials: MetricsAccess = MetricsAccess::AsOthers, Fixed, Any;

    /// File of the tokens. Default `tokens` in state_dir.
    tokens_file: String = String::new(), Fixed, AbsolutePath;

    /// Names the header Host may have while the service listens on loopback, beside localhost, addresses and the
    /// node's own host name; separated by commas. It keeps pages of other sites from reaching the service under a name of theirs.
    http_allowed_hosts: String = String::new(), Fixed, Any;

    /// Certificate chain in PEM, the node's own first; with tls_private_key_file it turns TLS on. Read again when it changes.
    tls_certificate_file: String = String::new(), Fixed, AbsolutePath;

    /// Private key of the certificate, in PEM.
    tls_private_key_file: String = String::new(), Fixed, AbsolutePath;

    /// Time a client has to send its request head, in milliseconds.
    http_header_read_timeout_ms: u32 = 5_000, Fixed, Range(1, MAX_I32);

    /// Time a request may take, in milliseconds.
    http_request_timeout_ms: u32 = 30_000, Fixed, Range(1, MAX_I32);

    /// Connections open at once; more wait in the listen queue.
    http_max_connections: u32 = 1024, Fixed, Range(1, 65_536);

    /// Largest request body, in bytes.
    http_max_body_bytes: u64 = 1_048_576, Fixed, Bytes(KIB, GIB);

    /// Largest request head, in bytes.
    http_max_header_bytes: u64 = 65_536, Fixed, Bytes(8 * KIB, MIB);

    // The endpoint's own documentation differs from every release; scripts were written against both.
    /// Whose answers `/api/tablet_migration` gives: the documentation's, or those of Doris 1.1, 1.2, 2.0, 2.1, 3.0 or 4.0.
    tablet_migration_dialect: Dialect = Dialect::Documented, Mutable, Any;

    // Scheduling.

    // Doris has one thread for the node, so one large tablet holds up all others. Here slots limit each disk, and
    // this is only the cap over all of them.
    /// Migrations that run at once on the node, over all disks.
    max_tablet_migration_threads: u32 = 64, Mutable, Range(1, 4096);

    /// Migrations that may read from one HDD at once.
    hdd_read_slots: u32 = 1, Mutable, Range(1, 256);

    /// Migrations that may write to one HDD at once.
    hdd_write_slots: u32 = 1, Mutable, Range(1, 256);

    /// Migrations that may read from one SSD at once.
    ssd_read_slots: u32 = 4, Mutable, Range(1, 256);

    /// Migrations that may write to one SSD at once.
    ssd_write_slots: u32 = 4, Mutable, Range(1, 256);

    /// Tablets up to this size, in bytes, share one slot of a pair of disks; 0 shares none.
    small_migration_bytes: u64 = 4_194_304, Mutable, Bytes(0, GIB);

    /// Small tablets that share one slot at once.
    small_migration_batch: u32 = 32, Mutable, Range(1, 1024);

    /// Migrations that may wait; one more is refused.
    migration_queue_size: u32 = 100_000, Mutable, Range(1, 10_000_000);

    /// Ended migrations that are kept in memory; the journal keeps ten times as many, and lists show those as well.
    finished_migration_tasks_size: u32 = 10_000, Mutable, Range(1, MAX_I32);

    /// A copy that gives no sign of life for so long is stopped and tried again: the larger of this, in seconds, and one
    /// second per MiB of the tablet.
    migration_task_timeout_secs: u32 = 300, Mutable, Range(1, MAX_I32);

    /// Times a migration is tried before it has failed.
    migration_max_attempts: u32 = 3, Mutable, Range(1, 100);

    /// Wait before the second attempt, in milliseconds; it doubles with each further one.
    migration_retry_backoff_ms: u32 = 1_000, Mutable, Range(0, 3_600_000);

    /// Hours of the day, local time, in which copies start: `22:00-06:00`, several separated by commas; empty is always.
    /// What runs goes on to its end, and high priority starts at any hour.
    migration_window: DailyWindows = DailyWindows::default(), Mutable, Any;
    // 120 h, as Atlas gives a live migration that is ready for its cutover.
    /// Time a migration waits at a gate to be asked on before it is undone, in seconds; 0 is for ever.
    cutover_deadline_sec: u32 = 432_000, Mutable, Range(0, MAX_I32);

    /// Time running migrations have to reach a safe point when the daemon is told to stop, in seconds.
    shutdown_grace_sec: u32 = 30, Fixed, Range(0, 86_400);

    // Space.

    /// Share of a disk in use from which it is full for migrations, in percent.
    storage_flood_stage_usage_percent: u32 = 90, Mutable, Range(1, 100);

    /// Free space below which a disk is full for migrations, in bytes. Where it is not written it asks a small disk for
    /// no more than the share that storage_flood_stage_usage_percent leaves free.
    storage_flood_stage_left_capacity_bytes: LeftBytes =
        LeftBytes { bytes: 1_073_741_824, from: LeftBytesFrom::Default }, Mutable, Bytes(0, i64::MAX);

    // Doris asks for both (`and`): a 100 GiB disk at 97 % with 3 GiB left still takes tablets. Here (`or`) a disk is
    // full as soon as it has passed either limit.
    /// Whether either flood-stage limit makes a disk full (`or`), or only both together (`and`, as in Doris).
    migration_capacity_rule: CapacityRule = CapacityRule::Or, Mutable, Any;

    // Plans.

    /// A rebalance takes nothing from a disk loaded less than this, in percent: nearly empty disks may differ.
    rebalance_source_floor_percent: u32 = 20, Mutable, Range(0, 100);

    /// Tablets smaller than this, in bytes, are not moved by a rebalance.
    rebalance_min_move_bytes: u64 = 1_048_576, Mutable, Bytes(0, i64::MAX);

    /// Time for which a rebalance leaves a tablet alone that was moved, in seconds.
    rebalance_cool_down_sec: u32 = 3_600, Mutable, Range(0, MAX_I32);

    // Bandwidth and copying.

    /// Bytes of tablets per second copied from, and to, one disk; what is read back has this limit for itself. 0 is none.
    disk_rate_limit_bytes_per_sec: u64 = 0, Mutable, Bytes(0, i64::MAX);

    /// Bytes per second copied on the whole node; 0 is no limit.
    node_rate_limit_bytes_per_sec: u64 = 0, Mutable, Bytes(0, i64::MAX);

    /// The same for single disks, instead of what holds for all: `path:rate`, separated by `;`.
    disk_rate_limit_overrides: DiskRates = DiskRates::default(), Mutable, Any;

    /// Whether copies back off by themselves while others use the disks: `none`, or `adaptive`, which follows the latency of
    /// each disk and the kernel's I/O pressure, below the limits above.
    migration_throttle: Throttle = Throttle::None, Mutable, Any;

    /// Bytes per second a disk is copied from and to at least, however much adaptive throttling backs off.
    migration_throttle_floor_bytes_per_sec: u64 = 4_194_304, Mutable, Bytes(65_536, i64::MAX);

    /// I/O class of the threads that copy: `best_effort`, or `idle`, which only the schedulers bfq and mq-deadline honour.
    migration_io_class: IoClass = IoClass::BestEffort, Mutable, Any;

    /// How a tablet moves between two roots on one file system: `clone` shares its blocks where the file system can (xfs,
    /// btrfs), reads them back and writes none; `copy` writes every byte anew.
    migration_same_file_system: SameFileSystem = SameFileSystem::Clone, Mutable, Any;

    /// Threads that copy the files of one migration.
    copy_threads_per_migration: u32 = 4, Fixed, Range(1, 64);

    /// Bytes read and written at a time; a multiple of 4096, as direct I/O wants.
    copy_block_bytes: u64 = 1_048_576, Fixed, MultipleOf(4096, 4096, 64 * MIB);

    /// Files from this size, in bytes, are read and written past the page cache.
    direct_io_min_file_bytes: u64 = 131_072, Fixed, Bytes(0, i64::MAX);

    /// Memory of all copy buffers together, in bytes.
    copy_memory_limit_bytes: u64 = 67_108_864, Fixed, Bytes(4096, i64::MAX);

    /// Whose the files of a tablet are once it was copied: `keep`, as they were on the source, or `USER:GROUP`. Mode and time
    /// of change are kept in any case. What may not be kept (only root gives files away) is in the step log.
    tablet_file_owner: FileOwner = FileOwner::Keep, Mutable, Any;

    // Trash.

    // 86400 as in Doris 2.1. Doris 3.0 has 0, which deletes the source at once; here the source in trash is what a
    // copy that goes bad on its new disk is restored from.
    /// Age from which trash is deleted, in seconds; 0 or less is no age limit, so that only `trash_min_uptime_sec` holds it.
    trash_file_expire_time_sec: i32 = 86_400, Mutable, Range(i32::MIN as i64, MAX_I32);

    // A node whose clock jumps, or that was off for a week, has not had its copies proven by that time.
    /// Seconds the daemon must have run, and found the live copy good, before trash is deleted.
    trash_min_uptime_sec: u32 = 86_400, Mutable, Range(0, MAX_I32);

    /// Shortest time between two sweeps of trash, in seconds; used when a disk is nearly full.
    min_garbage_sweep_interval: u32 = 180, Mutable, Range(1, MAX_I32);

    /// Longest time between two sweeps of trash, in seconds; used when disks are empty.
    max_garbage_sweep_interval: u32 = 3_600, Mutable, Range(1, MAX_I32);

    // Disk health.

    /// Time between two health checks of every disk, in seconds.
    disk_stat_monitor_interval: u32 = 5, Mutable, Range(1, 86_400);

    /// How many directories below `data/` the walk for files without a record looks at in a second, on each disk; 0 is no
    /// limit.
    unrecorded_walk_dirs_per_sec: u32 = 2_000, Mutable, Range(0, MAX_I32);

    /// Time after which a call that has not returned makes its disk hung, in seconds.
    disk_hang_timeout_sec: u32 = 30, Mutable, Range(1, 86_400);

    // Log.

    /// How much is logged.
    sys_log_level: LogLevel = LogLevel::Info, Mutable, Any;

    /// How an event is logged: as text, or as a line of JSON.
    log_format: LogFormat = LogFormat::Text, Fixed, Any;

    /// File of the log. Empty: standard error, which a service manager keeps.
    log_file: String = String::new(), Fixed, AbsolutePath;

    /// Size from which the file of the log is put aside and begun anew, in bytes.
    log_max_bytes: u64 = 134_217_728, Fixed, Bytes(4096, i64::MAX);

    /// Files of the log put aside that are kept.
    log_keep_files: u32 = 8, Fixed, Range(1, 1000);

    /// Where a collector takes traces by OTLP over HTTP, as `http://HOST:4318`: one migration is one trace, sent when it has
    /// ended. Empty: none are made.
    otlp_endpoint: String = String::new(), Fixed, Any;

    /// File of one line per request that changes, or tried to change, something. Default `${DORIS_HOME}/log/audit.log`;
    /// without DORIS_HOME `log/audit.log` beside the default of state_dir.
    audit_log_file: String = String::new(), Fixed, AbsolutePath;

    /// Size from which the audit log is put aside and begun anew, in bytes.
    audit_log_max_bytes: u64 = 67_108_864, Fixed, Bytes(4096, i64::MAX);

    /// Audit logs put aside that are kept.
    audit_log_keep_files: u32 = 8, Fixed, Range(1, 1000);
}
