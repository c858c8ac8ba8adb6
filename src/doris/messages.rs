//! Which fields Doris's messages have, in the order of their declaration: what is needed to show a record as Doris does.
//!
//! Source: `gensrc/proto/olap_file.proto`, `olap_common.proto` and `types.proto` of Doris 3.0 (`doris-be` section 5). What a
//! newer backend wrote beyond it is not shown; it is moved all the same, byte for byte.

/// What the value of a field is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Int64,
    Int32,
    Uint32,
    Bool,
    Double,
    Text,
    Bytes,
    /// A map of texts by text.
    TextMap,
    /// Numbers and their names.
    Enum(&'static [(u64, &'static str)]),
    Message(&'static [FieldSpec]),
}

/// A field of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct FieldSpec {
    pub(super) number: u32,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) repeated: bool,
}

const fn one(number: u32, name: &'static str, kind: Kind) -> FieldSpec {
    FieldSpec { number, name, kind, repeated: false }
}

const fn many(number: u32, name: &'static str, kind: Kind) -> FieldSpec {
    FieldSpec { number, name, kind, repeated: true }
}

/// `TabletMetaPB`.
pub(super) static TABLET_META: [FieldSpec; 36] = [
    one(1, "table_id", Kind::Int64),
    one(2, "partition_id", Kind::Int64),
    one(3, "tablet_id", Kind::Int64),
    one(4, "schema_hash", Kind::Int32),
    one(5, "shard_id", Kind::Int32),
    one(6, "creation_time", Kind::Int64),
    one(7, "cumulative_layer_point", Kind::Int64),
    one(8, "tablet_state", Kind::Enum(TABLET_STATE)),
    one(9, "schema", Kind::Message(&TABLET_SCHEMA)),
    many(10, "rs_metas", Kind::Message(&ROWSET_META)),
    many(11, "inc_rs_metas", Kind::Message(&ROWSET_META)),
    one(12, "alter_task", Kind::Message(&ALTER_TABLET)),
    one(13, "in_restore_mode", Kind::Bool),
    one(14, "tablet_uid", Kind::Message(&UNIQUE_ID)),
    one(15, "end_rowset_id", Kind::Int64),
    one(16, "preferred_rowset_type", Kind::Enum(ROWSET_TYPE)),
    one(17, "tablet_type", Kind::Enum(TABLET_TYPE)),
    many(18, "stale_rs_metas", Kind::Message(&ROWSET_META)),
    one(21, "replica_id", Kind::Int64),
    one(23, "delete_bitmap", Kind::Message(&DELETE_BITMAP)),
    one(24, "enable_unique_key_merge_on_write", Kind::Bool),
    one(25, "storage_policy_id", Kind::Int64),
    one(26, "cooldown_meta_id", Kind::Message(&UNIQUE_ID)),
    one(27, "binlog_config", Kind::Message(&BINLOG_CONFIG)),
    one(28, "compaction_policy", Kind::Text),
    one(29, "time_series_compaction_goal_size_mbytes", Kind::Int64),
    one(30, "time_series_compaction_file_count_threshold", Kind::Int64),
    one(31, "time_series_compaction_time_threshold_seconds", Kind::Int64),
    one(32, "time_series_compaction_empty_rowsets_threshold", Kind::Int64),
    one(33, "time_series_compaction_level_threshold", Kind::Int64),
    one(1000, "index_id", Kind::Int64),
    one(1001, "is_in_memory", Kind::Bool),
    one(1002, "is_persistent", Kind::Bool),
    one(1003, "table_name", Kind::Text),
    one(1004, "ttl_seconds", Kind::Int64),
    one(1005, "schema_version", Kind::Int32),
];

/// `RowsetMetaPB`.
static ROWSET_META: [FieldSpec; 37] = [
    one(1, "rowset_id", Kind::Int64),
    one(2, "partition_id", Kind::Int64),
    one(3, "tablet_id", Kind::Int64),
    one(4, "txn_id", Kind::Int64),
    one(5, "tablet_schema_hash", Kind::Int32),
    one(6, "rowset_type", Kind::Enum(ROWSET_TYPE)),
    one(7, "rowset_state", Kind::Enum(ROWSET_STATE)),
    one(8, "start_version", Kind::Int64),
    one(9, "end_version", Kind::Int64),
    one(10, "version_hash", Kind::Int64),
    one(11, "num_rows", Kind::Int64),
    one(12, "total_disk_size", Kind::Int64),
    one(13, "data_disk_size", Kind::Int64),
    one(14, "index_disk_size", Kind::Int64),
    many(15, "zone_maps", Kind::Message(&ZONE_MAP)),
    one(16, "delete_predicate", Kind::Message(&DELETE_PREDICATE)),
    one(17, "empty", Kind::Bool),
    one(18, "load_id", Kind::Message(&UNIQUE_ID)),
    one(19, "delete_flag", Kind::Bool),
    one(20, "creation_time", Kind::Int64),
    one(21, "tablet_uid", Kind::Message(&UNIQUE_ID)),
    one(22, "num_segments", Kind::Int64),
    one(23, "rowset_id_v2", Kind::Text),
    one(24, "resource_id", Kind::Text),
    one(26, "newest_write_timestamp", Kind::Int64),
    many(27, "segments_key_bounds", Kind::Message(&KEY_BOUNDS)),
    one(28, "tablet_schema", Kind::Message(&TABLET_SCHEMA)),
    one(51, "segments_overlap_pb", Kind::Enum(SEGMENTS_OVERLAP)),
    one(52, "compaction_level", Kind::Int64),
    one(1000, "txn_expiration", Kind::Int64),
    many(1001, "segments_file_size", Kind::Int64),
    one(1002, "index_id", Kind::Int64),
    one(1003, "schema_version", Kind::Int32),
    one(1004, "enable_segments_file_size", Kind::Bool),
    one(1005, "has_variant_type_in_schema", Kind::Bool),
    one(1006, "enable_inverted_index_file_info", Kind::Bool),
    many(1007, "inverted_index_file_info", Kind::Message(&INDEX_FILE_INFO)),
];

static TABLET_SCHEMA: [FieldSpec; 28] = [
    one(1, "keys_type", Kind::Enum(KEYS_TYPE)),
    many(2, "column", Kind::Message(&COLUMN)),
    one(3, "num_short_key_columns", Kind::Int32),
    one(4, "num_rows_per_row_block", Kind::Int32),
    one(5, "compress_kind", Kind::Enum(COMPRESS_KIND)),
    one(6, "bf_fpp", Kind::Double),
    one(7, "next_column_unique_id", Kind::Uint32),
    one(8, "is_in_memory", Kind::Bool),
    one(9, "delete_sign_idx", Kind::Int32),
    one(10, "sequence_col_idx", Kind::Int32),
    one(11, "sort_type", Kind::Enum(SORT_TYPE)),
    one(12, "sort_col_num", Kind::Int32),
    one(13, "compression_type", Kind::Enum(COMPRESSION_TYPE)),
    one(14, "schema_version", Kind::Int32),
    one(15, "disable_auto_compaction", Kind::Bool),
    many(16, "index", Kind::Message(&TABLET_INDEX)),
    one(17, "version_col_idx", Kind::Int32),
    one(18, "store_row_column", Kind::Bool),
    one(19, "is_dynamic_schema", Kind::Bool),
    one(20, "is_partial_update", Kind::Bool),
    many(21, "partial_update_input_columns", Kind::Text),
    one(22, "enable_single_replica_compaction", Kind::Bool),
    one(23, "skip_write_index_on_load", Kind::Bool),
    many(24, "cluster_key_idxes", Kind::Int32),
    one(25, "inverted_index_storage_format", Kind::Enum(INDEX_FORMAT)),
    many(26, "row_store_column_unique_ids", Kind::Int32),
    one(27, "row_store_page_size", Kind::Int64),
    one(28, "variant_enable_flatten_nested", Kind::Bool),
];

static UNIQUE_ID: [FieldSpec; 2] = [one(1, "hi", Kind::Int64), one(2, "lo", Kind::Int64)];

static KEY_BOUNDS: [FieldSpec; 2] = [one(1, "min_key", Kind::Bytes), one(2, "max_key", Kind::Bytes)];

static ZONE_MAP: [FieldSpec; 3] =
    [one(1, "min", Kind::Bytes), one(2, "max", Kind::Bytes), one(3, "null_flag", Kind::Bool)];

static DELETE_BITMAP: [FieldSpec; 4] = [
    many(1, "rowset_ids", Kind::Text),
    many(2, "segment_ids", Kind::Uint32),
    many(3, "versions", Kind::Int64),
    many(4, "segment_delete_bitmaps", Kind::Bytes),
];

static DELETE_PREDICATE: [FieldSpec; 4] = [
    one(1, "version", Kind::Int32),
    many(2, "sub_predicates", Kind::Text),
    many(3, "in_predicates", Kind::Message(&IN_PREDICATE)),
    many(4, "sub_predicates_v2", Kind::Message(&DELETE_SUB_PREDICATE)),
];

static DELETE_SUB_PREDICATE: [FieldSpec; 4] = [
    one(1, "column_unique_id", Kind::Int32),
    one(2, "column_name", Kind::Text),
    one(3, "op", Kind::Text),
    one(4, "cond_value", Kind::Text),
];

static IN_PREDICATE: [FieldSpec; 4] = [
    one(1, "column_name", Kind::Text),
    one(2, "is_not_in", Kind::Bool),
    many(3, "values", Kind::Text),
    one(4, "column_unique_id", Kind::Int32),
];

static ALTER_TABLET: [FieldSpec; 4] = [
    one(1, "alter_state", Kind::Enum(ALTER_STATE)),
    one(2, "related_tablet_id", Kind::Int64),
    one(3, "related_schema_hash", Kind::Int32),
    one(4, "alter_type", Kind::Enum(ALTER_TYPE)),
];

static COLUMN: [FieldSpec; 23] = [
    one(1, "unique_id", Kind::Int32),
    one(2, "name", Kind::Text),
    one(3, "type", Kind::Text),
    one(4, "is_key", Kind::Bool),
    one(5, "aggregation", Kind::Text),
    one(6, "is_nullable", Kind::Bool),
    one(7, "default_value", Kind::Bytes),
    one(8, "precision", Kind::Int32),
    one(9, "frac", Kind::Int32),
    one(10, "length", Kind::Int32),
    one(11, "index_length", Kind::Int32),
    one(12, "is_bf_column", Kind::Bool),
    one(13, "referenced_column_id", Kind::Int32),
    one(14, "referenced_column", Kind::Text),
    one(15, "has_bitmap_index", Kind::Bool),
    one(16, "visible", Kind::Bool),
    many(17, "children_columns", Kind::Message(&COLUMN)),
    many(18, "children_column_names", Kind::Text),
    one(19, "result_is_nullable", Kind::Bool),
    many(21, "sparse_columns", Kind::Message(&COLUMN)),
    one(22, "is_auto_increment", Kind::Bool),
    one(23, "parent_unique_id", Kind::Int32),
    one(24, "be_exec_version", Kind::Int32),
];

static TABLET_INDEX: [FieldSpec; 6] = [
    one(1, "index_id", Kind::Int64),
    one(2, "index_name", Kind::Text),
    one(3, "index_type", Kind::Enum(INDEX_TYPE)),
    many(4, "col_unique_id", Kind::Int32),
    one(5, "properties", Kind::TextMap),
    one(6, "index_suffix_name", Kind::Text),
];

static BINLOG_CONFIG: [FieldSpec; 4] = [
    one(1, "enable", Kind::Bool),
    one(2, "ttl_seconds", Kind::Int64),
    one(3, "max_bytes", Kind::Int64),
    one(4, "max_history_nums", Kind::Int64),
];

static INDEX_FILE_INFO: [FieldSpec; 2] =
    [many(1, "index_info", Kind::Message(&INDEX_INFO)), one(2, "index_size", Kind::Int64)];

static INDEX_INFO: [FieldSpec; 3] = [
    one(1, "index_id", Kind::Int64),
    one(2, "index_file_size", Kind::Int64),
    one(3, "index_suffix", Kind::Text),
];

const TABLET_STATE: &[(u64, &str)] =
    &[(0, "PB_NOTREADY"), (1, "PB_RUNNING"), (2, "PB_TOMBSTONED"), (3, "PB_STOPPED"), (4, "PB_SHUTDOWN")];
const ROWSET_STATE: &[(u64, &str)] =
    &[(0, "PREPARED"), (1, "COMMITTED"), (2, "VISIBLE"), (10000, "BEGIN_PARTIAL_UPDATE")];
const ROWSET_TYPE: &[(u64, &str)] = &[(0, "ALPHA_ROWSET"), (1, "BETA_ROWSET")];
const SEGMENTS_OVERLAP: &[(u64, &str)] = &[(0, "OVERLAP_UNKNOWN"), (1, "OVERLAPPING"), (2, "NONOVERLAPPING")];
const KEYS_TYPE: &[(u64, &str)] = &[(0, "DUP_KEYS"), (1, "UNIQUE_KEYS"), (2, "AGG_KEYS")];
const TABLET_TYPE: &[(u64, &str)] = &[(0, "TABLET_TYPE_DISK"), (1, "TABLET_TYPE_MEMORY")];
const INDEX_TYPE: &[(u64, &str)] =
    &[(0, "BITMAP"), (1, "INVERTED"), (2, "BLOOMFILTER"), (3, "NGRAM_BF"), (4, "ANN")];
const INDEX_FORMAT: &[(u64, &str)] = &[(0, "V1"), (1, "V2"), (2, "V3")];
const ALTER_STATE: &[(u64, &str)] = &[(0, "PREPARED"), (1, "RUNNING"), (2, "FINISHED"), (3, "FAILED")];
const ALTER_TYPE: &[(u64, &str)] = &[(1, "SCHEMA_CHANGE"), (2, "ROLLUP"), (3, "MIGRATION")];
const COMPRESS_KIND: &[(u64, &str)] = &[(0, "COMPRESS_NONE"), (1, "COMPRESS_LZO"), (2, "COMPRESS_LZ4")];
const COMPRESSION_TYPE: &[(u64, &str)] = &[
    (0, "UNKNOWN"),
    (1, "DEFAULT"),
    (2, "NO"),
    (3, "SNAPPY"),
    (4, "LZ4"),
    (5, "LZ4F"),
    (6, "ZLIB"),
    (7, "ZSTD"),
    (8, "LZ4HC"),
];
const SORT_TYPE: &[(u64, &str)] = &[(0, "LEXICAL"), (1, "ZORDER")];
