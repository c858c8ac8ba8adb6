//! One table file (`.sst`): sorted keys in blocks, each with its checksum.
//!
//! Source: RocksDB 5.14.2, `table/format.cc`, `table/block_based_table_reader.cc`; `doris-roots` 6.4. Formats above 2,
//! other index types, range deletions, global sequence numbers and compressors other than Snappy are refused: a backend
//! writes none of them, and 5.14.2 itself does not read format 3.

use std::cmp::Ordering;

use super::block::{Block, Entries};
use super::cursor::{Cursor, masked};
use super::error::{DorisError, Malformed};
use super::source::ReadAt;

const FOOTER_BYTES: u64 = 53;
const MAGIC: u64 = 0x88e2_41b7_85f4_cff7;
const CRC32C: u8 = 1;
const FORMAT_MAX: u32 = 2;
/// Type of compression and checksum behind each block.
const TRAILER_BYTES: u64 = 5;
const UNCOMPRESSED: u8 = 0;
const SNAPPY: u8 = 1;
/// Snappy turns three bytes into 64 at the most: what claims to be larger is no block.
const SNAPPY_RATIO_MAX: usize = 32;

/// Where a block lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Handle {
    offset: u64,
    size: u64,
}

impl Handle {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        Ok(Self { offset: cursor.varint()?, size: cursor.varint()? })
    }
}

/// An entry of a table: one change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableEntry {
    pub key: Vec<u8>,
    /// Of several changes of a key, the one with the highest number counts.
    pub sequence: u64,
    /// Its value; `None` where it was deleted.
    pub value: Option<Vec<u8>>,
}

/// An open table.
pub struct Table {
    file: String,
    source: Box<dyn ReadAt>,
    /// For each block, a key that is not before any of it, and where it lies.
    index: Vec<(Vec<u8>, Handle)>,
}

impl Table {
    /// Opens a table; its size must be the one that the MANIFEST says, where one is given.
    ///
    /// # Errors
    /// It is damaged, or of a form that a backend does not write.
    pub fn open(file: &str, source: Box<dyn ReadAt>, size_bytes: Option<u64>) -> Result<Self, DorisError> {
        let length = source.length_bytes();
        if size_bytes.is_some_and(|size| size != length) || length < FOOTER_BYTES {
            return Err(DorisError::damaged(file, length, "it is not as long as MANIFEST says"));
        }
        let footer = read(file, source.as_ref(), length - FOOTER_BYTES, FOOTER_BYTES)?;
        let malformed = |why: Malformed| DorisError::damaged(file, length - FOOTER_BYTES, why.0);
        let footer = Footer::read(file, &footer)?.map_err(malformed)?;
        let mut table = Self { file: file.to_owned(), source, index: Vec::new() };
        table.check_meta(footer.meta_index)?;
        let index = table.block(footer.index)?;
        for entry in table.entries(&index, footer.index)? {
            let (key, value) = entry.map_err(|why| table.damaged(footer.index, why.0))?;
            let handle =
                Handle::read(&mut Cursor::new(&value)).map_err(|why| table.damaged(footer.index, why.0))?;
            if table.index.last().is_some_and(|(before, _)| order(before, &key) != Ordering::Less) {
                return Err(
                    table.damaged(footer.index, "a key of the index does not come behind the one before it")
                );
            }
            table.index.push((key, handle));
        }
        Ok(table)
    }

    fn damaged(&self, at: Handle, why: &str) -> DorisError {
        DorisError::damaged(&self.file, at.offset, why)
    }

    fn not_understood(&self, what: &str) -> DorisError {
        DorisError::not_understood(&self.file, what)
    }

    fn entries<'a>(&self, block: &'a Block, at: Handle) -> Result<Entries<'a>, DorisError> {
        block.entries().map_err(|why| self.damaged(at, why.0))
    }

    /// Refuses a table whose keys mean something else than its blocks say.
    fn check_meta(&self, meta_index: Handle) -> Result<(), DorisError> {
        let block = self.block(meta_index)?;
        for entry in self.entries(&block, meta_index)? {
            let (name, handle) = entry.map_err(|why| self.damaged(meta_index, why.0))?;
            match name.as_slice() {
                b"rocksdb.range_del" => return Err(self.not_understood("a range deletion")),
                b"rocksdb.compression_dict" => return Err(self.not_understood("a compression dictionary")),
                b"rocksdb.properties" => {
                    let at = Handle::read(&mut Cursor::new(&handle))
                        .map_err(|why| self.damaged(meta_index, why.0))?;
                    self.check_properties(at)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_properties(&self, at: Handle) -> Result<(), DorisError> {
        let block = self.block(at)?;
        for entry in self.entries(&block, at)? {
            let (name, value) = entry.map_err(|why| self.damaged(at, why.0))?;
            match name.as_slice() {
                b"rocksdb.block.based.table.index.type" if value.iter().any(|byte| *byte != 0) => {
                    return Err(self.not_understood("an index that is no binary search"));
                }
                b"rocksdb.external_sst_file.global_seqno" | b"rocksdb.external_sst_file.version" => {
                    return Err(self.not_understood("a table that was made elsewhere"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn block(&self, at: Handle) -> Result<Block, DorisError> {
        let end = at.offset.checked_add(at.size).and_then(|end| end.checked_add(TRAILER_BYTES));
        if end.is_none_or(|end| end > self.source.length_bytes()) {
            return Err(self.damaged(at, "a block lies beyond the end of its file"));
        }
        let mut bytes = read(&self.file, self.source.as_ref(), at.offset, at.size + TRAILER_BYTES)?;
        let trailer = bytes.split_off(bytes.len() - 5);
        let (kind, sum) = (trailer[0], u32::from_le_bytes([trailer[1], trailer[2], trailer[3], trailer[4]]));
        if masked(crc32c::crc32c_append(crc32c::crc32c(&bytes), &[kind])) != sum {
            return Err(self.damaged(at, "the checksum of a block is wrong"));
        }
        match kind {
            UNCOMPRESSED => Ok(Block::new(bytes)),
            SNAPPY => self.decompress(at, &bytes).map(Block::new),
            _ => Err(self.not_understood("a block that is compressed by something else than Snappy")),
        }
    }

    fn decompress(&self, at: Handle, bytes: &[u8]) -> Result<Vec<u8>, DorisError> {
        let bad = || self.damaged(at, "a block does not decompress");
        let length = snap::raw::decompress_len(bytes).map_err(|_| bad())?;
        if length > bytes.len().saturating_mul(SNAPPY_RATIO_MAX).saturating_add(64) {
            return Err(bad());
        }
        snap::raw::Decoder::new().decompress_vec(bytes).map_err(|_| bad())
    }

    /// Every entry, by key and then newest first. After an error the next block follows: who must have all stops there, a
    /// rescue goes on.
    pub fn iter(&self) -> impl Iterator<Item = Result<TableEntry, DorisError>> + '_ {
        (0..self.index.len()).flat_map(|nth| match self.read_block(nth) {
            Ok(entries) => entries.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        })
    }

    /// The entries of the `nth` block. A block's checksum does not say where it belongs: its keys do.
    fn read_block(&self, nth: usize) -> Result<Vec<TableEntry>, DorisError> {
        let (bound, at) = &self.index[nth];
        let block = self.block(*at)?;
        let mut before = nth.checked_sub(1).map(|before| self.index[before].0.clone());
        let mut entries = Vec::new();
        for entry in self.entries(&block, *at)? {
            let (internal, value) = entry.map_err(|why| self.damaged(*at, why.0))?;
            if before.is_some_and(|before| order(&before, &internal) != Ordering::Less) {
                return Err(self.damaged(*at, "a key does not come behind the one before it"));
            }
            before = Some(internal.clone());
            entries.push(self.table_entry(*at, internal, value)?);
        }
        if before.is_some_and(|last| order(&last, bound) == Ordering::Greater) {
            return Err(self.damaged(*at, "a block has a key that the index has further behind"));
        }
        Ok(entries)
    }

    /// An internal key is the key, and eight bytes of sequence number and kind.
    fn table_entry(&self, at: Handle, mut key: Vec<u8>, value: Vec<u8>) -> Result<TableEntry, DorisError> {
        const DELETION: u64 = 0;
        const VALUE: u64 = 1;
        let Some(own) = key.len().checked_sub(8) else {
            return Err(self.damaged(at, "a key is too short"));
        };
        let trailer = key.split_off(own);
        let trailer = Cursor::new(&trailer).u64_le().map_err(|why| self.damaged(at, why.0))?;
        let value = match trailer & 0xff {
            VALUE => Some(value),
            DELETION => None,
            _ => return Err(self.not_understood("a key that is neither a value nor a deletion")),
        };
        Ok(TableEntry { key, sequence: trailer >> 8, value })
    }

    /// The newest entry of one key here.
    ///
    /// # Errors
    /// The block that would have it is damaged.
    pub fn get(&self, key: &[u8]) -> Result<Option<TableEntry>, DorisError> {
        // Newest first: the first one of the key counts.
        Ok(self.with_prefix(key)?.into_iter().find(|entry| entry.key == key))
    }

    /// All entries whose keys begin with `prefix`, by key and then newest first.
    ///
    /// # Errors
    /// A block that may have one is damaged.
    pub fn with_prefix(&self, prefix: &[u8]) -> Result<Vec<TableEntry>, DorisError> {
        let user_key = |internal: &'_ [u8]| internal.len().saturating_sub(8);
        let from = self.index.partition_point(|(last, _)| &last[..user_key(last)] < prefix);
        let mut found = Vec::new();
        for (nth, (last, _)) in self.index.iter().enumerate().skip(from) {
            found.extend(self.read_block(nth)?.into_iter().filter(|entry| entry.key.starts_with(prefix)));
            let last = &last[..user_key(last)];
            if last > prefix && !last.starts_with(prefix) {
                break;
            }
        }
        Ok(found)
    }
}

/// The order of internal keys: by key, and then the newest first.
fn order(left: &[u8], right: &[u8]) -> Ordering {
    let parts = |internal: &'_ [u8]| internal.len().saturating_sub(8);
    let ((left, left_age), (right, right_age)) = (left.split_at(parts(left)), right.split_at(parts(right)));
    let age = |bytes: &[u8]| Cursor::new(bytes).u64_le().unwrap_or(0);
    left.cmp(right).then_with(|| age(right_age).cmp(&age(left_age)))
}

struct Footer {
    meta_index: Handle,
    index: Handle,
}

impl Footer {
    fn read(file: &str, bytes: &[u8]) -> Result<Result<Self, Malformed>, DorisError> {
        let mut cursor = Cursor::new(bytes);
        let parts = (|| {
            let (sum, handles) = (cursor.u8()?, cursor.take(40)?);
            Ok::<_, Malformed>((sum, handles, cursor.u32_le()?, cursor.u64_le()?))
        })();
        let (sum, handles, format, magic) = match parts {
            Ok(parts) => parts,
            Err(why) => return Ok(Err(why)),
        };
        if magic != MAGIC {
            return Ok(Err(Malformed("it does not end as a table file does")));
        }
        if format > FORMAT_MAX {
            return Err(DorisError::not_understood(
                file,
                format!("table format {format}, of a newer RocksDB,"),
            ));
        }
        if sum != CRC32C {
            return Err(DorisError::not_understood(file, format!("checksum type {sum}")));
        }
        let mut handles = Cursor::new(handles);
        let read = Handle::read(&mut handles)
            .and_then(|meta_index| Ok(Self { meta_index, index: Handle::read(&mut handles)? }));
        Ok(read)
    }
}

fn read(file: &str, source: &dyn ReadAt, offset: u64, length: u64) -> Result<Vec<u8>, DorisError> {
    let length =
        usize::try_from(length).map_err(|_| DorisError::damaged(file, offset, "a block is too long"))?;
    source.read_at(offset, length).map_err(|why| DorisError::Unreadable { file: file.to_owned(), why })
}
