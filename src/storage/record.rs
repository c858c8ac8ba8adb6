//! How a metadata record is written down.
//!
//! ```json
//! {"format":1,"crc32":"0c7e77c6","record":{"generation":1,"tablet_id":…,"manifest":[…],"tablet_meta":{…}}}
//! ```
//! `tablet_meta` is carried as raw text: unknown fields, repeated keys and the spelling of numbers survive, because
//! nobody re-writes them.

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::envelope;
use crate::model::{
    HeaderTable, Manifest, RecordSummary, SchemaHash, ShardId, TabletId, TabletKey, TabletRecord, TabletState,
};

#[derive(Serialize, Deserialize)]
struct Body {
    generation: u64,
    tablet_id: TabletId,
    schema_hash: SchemaHash,
    partition_id: i64,
    shard_id: ShardId,
    state: TabletState,
    manifest: Manifest,
    tablet_meta: Box<RawValue>,
}

/// The record as bytes, checksum included.
///
/// # Errors
/// Only what `serde_json` may answer; our types always serialise.
pub fn encode_record(record: &TabletRecord) -> Result<Vec<u8>, serde_json::Error> {
    envelope::seal(&Body {
        generation: record.generation,
        tablet_id: record.key.tablet_id,
        schema_hash: record.key.schema_hash,
        partition_id: record.partition_id,
        shard_id: record.shard_id,
        state: record.state,
        manifest: record.manifest.clone(),
        tablet_meta: record.tablet_meta.clone(),
    })
}

/// Reads a whole record and checks everything that can be checked without its files.
///
/// # Errors
/// In words: format, checksum, fields, manifest.
pub fn decode_record(bytes: &[u8]) -> Result<TabletRecord, String> {
    read_body(envelope::open(bytes)?)
}

/// What a damaged record still says where it parses. Its checksum vouches for nothing in it.
pub fn read_unsealed_record(bytes: &[u8]) -> Option<TabletRecord> {
    read_body(envelope::open_unsealed(bytes)?).ok()
}

fn read_body(body: &RawValue) -> Result<TabletRecord, String> {
    let body: Body = serde_json::from_str(body.get()).map_err(|error| error.to_string())?;
    body.manifest.check().map_err(|error| error.to_string())?;
    check_ranges(body.tablet_id, body.schema_hash, body.shard_id, body.generation)?;
    Ok(TabletRecord {
        generation: body.generation,
        key: TabletKey { tablet_id: body.tablet_id, schema_hash: body.schema_hash },
        partition_id: body.partition_id,
        shard_id: body.shard_id,
        state: body.state,
        manifest: body.manifest,
        tablet_meta: body.tablet_meta,
    })
}

fn check_ranges(tablet: TabletId, hash: SchemaHash, shard: ShardId, generation: u64) -> Result<(), String> {
    (tablet.0 > 0 && hash.0 >= 0 && shard.0 < crate::model::SHARD_COUNT && generation > 0)
        .then_some(())
        .ok_or_else(|| format!("{tablet}_{hash} in shard {shard}, generation {generation}: out of range"))
}

/// Reads what the catalog keeps: checksum checked, but no allocation per file and of the tablet's header the table only.
/// This is what start-up does a million times.
///
/// # Errors
/// As [`decode_record`].
pub fn decode_summary(bytes: &[u8]) -> Result<RecordSummary, String> {
    #[derive(Deserialize)]
    struct Summary {
        generation: u64,
        tablet_id: TabletId,
        schema_hash: SchemaHash,
        partition_id: i64,
        shard_id: ShardId,
        manifest: Totals,
        tablet_meta: HeaderTable,
    }
    let body: Summary =
        serde_json::from_str(envelope::open(bytes)?.get()).map_err(|error| error.to_string())?;
    check_ranges(body.tablet_id, body.schema_hash, body.shard_id, body.generation)?;
    Ok(RecordSummary {
        key: TabletKey { tablet_id: body.tablet_id, schema_hash: body.schema_hash },
        generation: body.generation,
        table_id: body.tablet_meta.0,
        partition_id: body.partition_id,
        size_bytes: body.manifest.size_bytes,
        file_count: body.manifest.file_count,
        shard_id: body.shard_id,
    })
}

/// Sizes of a manifest, added up while it is read.
#[derive(Default)]
struct Totals {
    size_bytes: u64,
    file_count: u32,
}

impl<'de> Deserialize<'de> for Totals {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Size {
            size_bytes: u64,
        }
        struct Adder;
        impl<'de> Visitor<'de> for Adder {
            type Value = Totals;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of files")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut files: A) -> Result<Totals, A::Error> {
                let mut totals = Totals::default();
                while let Some(Size { size_bytes }) = files.next_element()? {
                    totals.size_bytes = totals.size_bytes.saturating_add(size_bytes);
                    totals.file_count = totals.file_count.saturating_add(1);
                }
                Ok(totals)
            }
        }
        deserializer.deserialize_seq(Adder)
    }
}

/// A `TabletMetaPB` JSON with its top-level `shard_id` set to where the tablet is now; everything else as it was written,
/// repeated keys included.
///
/// # Errors
/// The text is not a JSON object.
pub fn header_with_shard(header: &RawValue, shard: ShardId) -> Result<String, serde_json::Error> {
    struct Fields(Vec<(String, Box<RawValue>)>);
    impl<'de> Deserialize<'de> for Fields {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Collect;
            impl<'de> Visitor<'de> for Collect {
                type Value = Fields;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a TabletMetaPB object")
                }
                fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                    let mut fields = Vec::new();
                    while let Some(entry) = map.next_entry()? {
                        fields.push(entry);
                    }
                    Ok(Fields(fields))
                }
            }
            deserializer.deserialize_map(Collect)
        }
    }
    let Fields(fields) = serde_json::from_str(header.get())?;
    let shard = shard.to_string();
    let lines = fields
        .iter()
        .map(|(name, value)| {
            let value = if name == "shard_id" { shard.as_str() } else { value.get() };
            Ok(format!("    {}: {value}", serde_json::to_string(name)?))
        })
        .collect::<Result<Vec<_>, serde_json::Error>>()?;
    Ok(format!("{{\n{}\n}}", lines.join(",\n")))
}

/// What is needed of a `TabletMetaPB` JSON to adopt its tablet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderFields {
    /// `tablet_id` and `schema_hash`.
    pub key: TabletKey,
    /// `partition_id`; 0 when absent.
    pub partition_id: i64,
    /// `shard_id`; `None` when absent or out of range.
    pub shard_id: Option<ShardId>,
}

/// Reads the few fields that matter here out of a `TabletMetaPB` JSON. Numbers may also be written as strings, as some
/// JSON printers write 64-bit ones.
///
/// # Errors
/// In words: not JSON, or an identifying field is missing or out of range.
pub fn read_header(text: &str) -> Result<HeaderFields, String> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Bare(i64),
        Quoted(String),
    }
    /// First of two equal keys wins nothing here: protobuf's JSON parsers keep the last one, and so do we.
    #[derive(Default)]
    struct Wanted(std::collections::HashMap<String, Number>);
    impl<'de> Deserialize<'de> for Wanted {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Pick;
            impl<'de> Visitor<'de> for Pick {
                type Value = Wanted;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a TabletMetaPB object")
                }
                fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Wanted, A::Error> {
                    let mut wanted = Wanted::default();
                    while let Some(name) = map.next_key::<String>()? {
                        if ["tablet_id", "schema_hash", "partition_id", "shard_id"].contains(&name.as_str()) {
                            wanted.0.insert(name, map.next_value()?);
                        } else {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                    Ok(wanted)
                }
            }
            deserializer.deserialize_map(Pick)
        }
    }
    let wanted: Wanted =
        serde_json::from_str(text).map_err(|error| format!("not a TabletMetaPB in JSON form: {error}"))?;
    let text_of = |name: &str| {
        wanted.0.get(name).map(|number| match number {
            Number::Bare(n) => n.to_string(),
            Number::Quoted(text) => text.clone(),
        })
    };
    let required = |name: &str| text_of(name).ok_or_else(|| format!("the header has no {name}"));
    Ok(HeaderFields {
        key: TabletKey {
            tablet_id: required("tablet_id")?.parse().map_err(|e: crate::model::InvalidId| e.to_string())?,
            schema_hash: required("schema_hash")?
                .parse()
                .map_err(|e: crate::model::InvalidId| e.to_string())?,
        },
        partition_id: text_of("partition_id").and_then(|text| text.parse().ok()).unwrap_or(0),
        shard_id: text_of("shard_id").and_then(|text| text.parse().ok()),
    })
}

/// A minimal header for a tablet that came without one, of a table that is not known.
pub fn synthesize_header(key: TabletKey, partition_id: i64, shard: ShardId, created_s: i64) -> Box<RawValue> {
    synthesize_header_in(0, key, partition_id, shard, created_s)
}

/// A minimal header for a tablet that came without one but whose table is known; 0 where it is not.
pub fn synthesize_header_in(
    table_id: i64,
    key: TabletKey,
    partition_id: i64,
    shard: ShardId,
    created_s: i64,
) -> Box<RawValue> {
    let table = if table_id == 0 { String::new() } else { format!("\"table_id\": {table_id}, ") };
    let text = format!(
        "{{{table}\"partition_id\": {partition_id}, \"tablet_id\": {}, \"schema_hash\": {}, \"shard_id\": {shard}, \
         \"creation_time\": {created_s}, \"tablet_state\": \"PB_RUNNING\"}}",
        key.tablet_id, key.schema_hash
    );
    RawValue::from_string(text).expect("digits and fixed names are valid JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FileEntry;

    fn record() -> TabletRecord {
        let file = |name: &str, size_bytes| FileEntry { name: name.into(), size_bytes, crc32: Some(7) };
        TabletRecord {
            generation: 3,
            key: TabletKey::new(15672, 567_997_577),
            partition_id: 9,
            shard_id: ShardId(34),
            state: TabletState::Running,
            manifest: Manifest::new(vec![file("b.dat", 5), file("a.dat", 4)]).unwrap(),
            tablet_meta: RawValue::from_string(
                r#"{"table_id": 12, "shard_id": 1, "x": 1.50, "x": [1], "lo": -9223372036854775808}"#.into(),
            )
            .unwrap(),
        }
    }

    #[test]
    fn a_record_survives_a_round_trip_byte_for_byte() {
        let bytes = encode_record(&record()).unwrap();
        let back = decode_record(&bytes).unwrap();
        assert_eq!(back.tablet_meta.get(), record().tablet_meta.get());
        assert_eq!(back.summary(), record().summary());
        assert_eq!(encode_record(&back).unwrap(), bytes);
        assert_eq!(decode_summary(&bytes), Ok(record().summary()));
        assert_eq!(back.summary().table_id, 12);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = encode_record(&record()).unwrap();
        for at in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[at / 8] ^= 1 << (at % 8);
            // A flip in the case of a hexadecimal digit of the checksum changes nothing and may pass.
            if let Ok(found) = decode_summary(&damaged) {
                assert_eq!(found, record().summary(), "bit {at}");
            }
        }
        assert!(decode_summary(&bytes[..bytes.len() - 1]).is_err());
        assert!(decode_summary(b"").is_err());
    }

    /// Whole reads and the start-up scan must not disagree about what a record is.
    #[test]
    fn no_header_makes_a_record_unreadable() {
        for header in
            [r#"{"table_id": {}}"#, r#"{"table_id": 1, "table_id": "x"}"#, "{}", "[1]", "null", "1.5"]
        {
            let tablet_meta = RawValue::from_string(header.to_owned()).unwrap();
            let bytes = encode_record(&TabletRecord { tablet_meta, ..record() }).unwrap();
            let whole = decode_record(&bytes).unwrap().summary();
            assert_eq!((decode_summary(&bytes), whole.table_id), (Ok(whole), 0), "{header}");
        }
    }

    #[test]
    fn a_header_made_for_a_tablet_names_its_table_when_that_is_known() {
        for table_id in [0, 12] {
            let header = synthesize_header_in(table_id, record().key, 9, ShardId(34), 5);
            assert_eq!(HeaderTable::of(&header).0, table_id);
            assert_eq!(read_header(header.get()).unwrap().partition_id, 9);
            assert_eq!(header.get().contains("table_id"), table_id != 0, "{header}");
        }
    }

    #[test]
    fn the_shard_is_corrected_and_nothing_else() {
        let text = header_with_shard(&record().tablet_meta, ShardId(77)).unwrap();
        assert!(text.contains("\"shard_id\": 77"), "{text}");
        assert!(text.contains("\"x\": 1.50") && text.contains("\"x\": [1]"), "{text}");
    }

    #[test]
    fn headers_with_repeated_keys_and_quoted_numbers_are_read() {
        let fields =
            read_header(r#"{"tablet_id":"15672","schema_hash":5,"version_col_idx":-1,"version_col_idx":-1}"#)
                .unwrap();
        assert_eq!(fields.key, TabletKey::new(15672, 5));
        assert!(read_header(r#"{"tablet_id":1}"#).unwrap_err().contains("schema_hash"));
        assert!(read_header(r#"{"tablet_id":0,"schema_hash":5}"#).unwrap_err().contains("tablet_id"));
        assert!(read_header("\0\0\0\0").is_err());
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = decode_record(&bytes);
            let _ = decode_summary(&bytes);
            let _ = read_header(&String::from_utf8_lossy(&bytes));
        }
    }
}
