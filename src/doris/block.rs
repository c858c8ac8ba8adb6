//! A block of a table: entries whose keys repeat what the key before them had in common with them.
//!
//! Source: RocksDB 5.14.2, `table/block.cc`.

use super::cursor::Cursor;
use super::error::Malformed;

/// A checked, decompressed block.
#[derive(Debug)]
pub(super) struct Block {
    bytes: Vec<u8>,
}

impl Block {
    pub(super) const fn new(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// Its entries, in order.
    ///
    /// # Errors
    /// Its end does not say where they stop.
    pub(super) fn entries(&self) -> Result<Entries<'_>, Malformed> {
        let odd = Malformed("a block's end is not what it should be");
        let (rest, count) = self.bytes.split_last_chunk::<4>().ok_or(odd.clone())?;
        let restarts =
            usize::try_from(u32::from_le_bytes(*count)).ok().and_then(|count| count.checked_mul(4));
        let end = restarts.and_then(|bytes| rest.len().checked_sub(bytes)).ok_or(odd)?;
        Ok(Entries { cursor: Cursor::new(&rest[..end]), key: Vec::new(), ended: false })
    }
}

/// Entries of a block, as (key, value).
pub(super) struct Entries<'a> {
    cursor: Cursor<'a>,
    key: Vec<u8>,
    ended: bool,
}

impl Entries<'_> {
    fn entry(&mut self) -> Result<(Vec<u8>, Vec<u8>), Malformed> {
        let too_long = Malformed("an entry of a block is too long");
        let mut length = || -> Result<usize, Malformed> {
            usize::try_from(self.cursor.varint_u32()?).map_err(|_| too_long.clone())
        };
        let (shared, own, value) = (length()?, length()?, length()?);
        if shared > self.key.len() {
            return Err(Malformed("an entry shares more than the key before it has"));
        }
        self.key.truncate(shared);
        self.key.extend_from_slice(self.cursor.take(own)?);
        Ok((self.key.clone(), self.cursor.take(value)?.to_vec()))
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<(Vec<u8>, Vec<u8>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended || self.cursor.is_empty() {
            return None;
        }
        let entry = self.entry();
        self.ended = entry.is_err();
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_are_put_together_again() {
        let mut bytes = vec![0, 3, 1];
        bytes.extend(b"abcv");
        bytes.extend([2, 1, 0]);
        bytes.extend(b"d");
        bytes.extend(0_u32.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        let block = Block::new(bytes);
        let entries: Vec<_> = block.entries().unwrap().map(Result::unwrap).collect();
        assert_eq!(entries, [(b"abc".to_vec(), b"v".to_vec()), (b"abd".to_vec(), vec![])]);
    }

    proptest! {
        #[test]
        fn hostile_blocks_are_refused_or_read(bytes: Vec<u8>) {
            if let Ok(entries) = Block::new(bytes).entries() {
                entries.for_each(drop);
            }
        }
    }
}
