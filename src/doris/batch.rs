//! One write batch: what one record of a write-ahead log says.
//!
//! Source: RocksDB 5.14.2, `db/write_batch.cc`, and `doris-roots` 6.4: sequence u64, count u32, then operations. Only what
//! a backend writes is understood: puts and deletes.

use super::cursor::{Cursor, put_length_prefixed, put_varint};
use super::error::Malformed;

const HEADER_BYTES: usize = 12;

const DELETE: u8 = 0;
const PUT: u8 = 1;
const LOG_DATA: u8 = 3;
const DELETE_IN_FAMILY: u8 = 4;
const PUT_IN_FAMILY: u8 = 5;
const NO_OPERATION: u8 = 13;

/// A change of one key of one column family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation<'a> {
    /// Number of the column family.
    pub family: u32,
    pub key: &'a [u8],
    /// Its new value; `None` deletes it.
    pub value: Option<&'a [u8]>,
}

/// A decoded batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch<'a> {
    /// Sequence number of its first operation; each further one has the next.
    pub sequence: u64,
    pub operations: Vec<Operation<'a>>,
}

impl<'a> Batch<'a> {
    /// Decodes one log record.
    ///
    /// # Errors
    /// It is cut short, counts wrongly, or has an operation that a backend does not write.
    pub fn decode(record: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(record);
        let sequence = cursor.u64_le()?;
        let count = cursor.u32_le()?;
        let mut operations = Vec::new();
        while !cursor.is_empty() {
            let kind = cursor.u8()?;
            let family = match kind {
                DELETE_IN_FAMILY | PUT_IN_FAMILY => cursor.varint_u32()?,
                DELETE | PUT => 0,
                // Neither takes a sequence number.
                LOG_DATA => {
                    cursor.length_prefixed()?;
                    continue;
                }
                NO_OPERATION => continue,
                _ => return Err(Malformed("a batch has an operation that a backend does not write")),
            };
            let key = cursor.length_prefixed()?;
            let value = match kind {
                PUT | PUT_IN_FAMILY => Some(cursor.length_prefixed()?),
                _ => None,
            };
            operations.push(Operation { family, key, value });
        }
        if operations.len() as u64 != u64::from(count) {
            return Err(Malformed("a batch counts its operations wrongly"));
        }
        Ok(Self { sequence, operations })
    }
}

/// Puts a batch together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchBuilder {
    family: u32,
    count: u32,
    bytes: Vec<u8>,
}

impl BatchBuilder {
    /// An empty batch of changes to one column family.
    pub fn new(family: u32) -> Self {
        Self { family, count: 0, bytes: vec![0; HEADER_BYTES] }
    }

    fn operation(&mut self, kind: u8, key: &[u8]) {
        self.count += 1;
        self.bytes.push(kind);
        put_varint(&mut self.bytes, u64::from(self.family));
        put_length_prefixed(&mut self.bytes, key);
    }

    /// Adds a put.
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        self.operation(PUT_IN_FAMILY, key);
        put_length_prefixed(&mut self.bytes, value);
    }

    /// Adds a delete.
    pub fn delete(&mut self, key: &[u8]) {
        self.operation(DELETE_IN_FAMILY, key);
    }

    /// How many sequence numbers it takes.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Its size so far, in bytes. Counts and lengths have 32 bits: a batch stays below 4 GiB.
    pub const fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The log record, its first operation having this sequence number.
    pub fn finish(mut self, sequence: u64) -> Vec<u8> {
        self.bytes[..8].copy_from_slice(&sequence.to_le_bytes());
        self.bytes[8..HEADER_BYTES].copy_from_slice(&self.count.to_le_bytes());
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Change = (Vec<u8>, Option<Vec<u8>>);

    proptest! {
        #[test]
        fn batches_come_back(changes: Vec<Change>, family in 0..300_u32, sequence: u64) {
            let mut builder = BatchBuilder::new(family);
            for (key, value) in &changes {
                match value {
                    Some(value) => builder.put(key, value),
                    None => builder.delete(key),
                }
            }
            let bytes = builder.finish(sequence);
            let batch = Batch::decode(&bytes).unwrap();
            prop_assert_eq!(batch.sequence, sequence);
            let back: Vec<Change> = batch
                .operations
                .iter()
                .map(|operation| (operation.key.to_vec(), operation.value.map(<[u8]>::to_vec)))
                .collect();
            prop_assert_eq!(back, changes);
            prop_assert!(batch.operations.iter().all(|operation| operation.family == family));
        }

        #[test]
        fn hostile_bytes_are_refused_or_decoded(bytes: Vec<u8>) {
            let _ = Batch::decode(&bytes);
        }
    }

    #[test]
    fn what_a_backend_does_not_write_is_refused() {
        let record = |operations: &[u8], count: u32| {
            let mut bytes = 7_u64.to_le_bytes().to_vec();
            bytes.extend(count.to_le_bytes());
            bytes.extend(operations);
            Batch::decode(&bytes).map(|batch| batch.operations.len())
        };
        assert_eq!(record(&[PUT, 1, b'k', 1, b'v'], 1), Ok(1));
        assert_eq!(record(&[LOG_DATA, 1, b'x', NO_OPERATION, DELETE, 1, b'k'], 1), Ok(1));
        assert!(record(&[DELETE, 1, b'k'], 2).is_err());
        // A merge, a single delete, a range delete.
        for kind in [2, 7, 15] {
            assert!(record(&[kind, 1, b'k', 1, b'v'], 1).is_err(), "{kind}");
        }
    }
}
