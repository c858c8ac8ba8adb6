//! Reading numbers out of bytes that nobody has vouched for. Never reads past the end, never allocates.

use super::error::Malformed;

const CUT_SHORT: Malformed = Malformed("it ends in the middle of a value");
const VARINT_BITS_MAX: u32 = 64;

/// The bytes that are left to read.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    left: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// From the beginning of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }

    /// What has not been read yet.
    pub const fn left(&self) -> &'a [u8] {
        self.left
    }

    /// Whether all has been read.
    pub const fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// There are fewer.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.left.split_at_checked(count).ok_or(CUT_SHORT)?;
        self.left = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.left.split_first_chunk::<N>().ok_or(CUT_SHORT)?;
        self.left = rest;
        Ok(*taken)
    }

    /// One byte.
    ///
    /// # Errors
    /// As [`Cursor::take`].
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Four bytes, little-endian.
    ///
    /// # Errors
    /// As [`Cursor::take`].
    pub fn u32_le(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes, little-endian.
    ///
    /// # Errors
    /// As [`Cursor::take`].
    pub fn u64_le(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// A base-128 number of at most 64 bits, as Protocol Buffers and RocksDB write it.
    ///
    /// # Errors
    /// It is cut short, or longer than ten bytes.
    pub fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..VARINT_BITS_MAX).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed("a number is longer than 64 bits"))
    }

    /// As [`Cursor::varint`], and it fits 32 bits.
    ///
    /// # Errors
    /// It does not.
    pub fn varint_u32(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.varint()?).map_err(|_| Malformed("a number is longer than 32 bits"))
    }

    /// Bytes behind their length.
    ///
    /// # Errors
    /// There are fewer than the length says.
    pub fn length_prefixed(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.varint()?).map_err(|_| CUT_SHORT)?;
        self.take(length)
    }
}

/// Appends a base-128 number.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or(0));
}

/// Appends bytes behind their length.
pub fn put_length_prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// CRC-32C as RocksDB stores it, so that the sum of bytes with sums in them is no fixed point
/// (`util/crc32c.h`, `Mask`).
pub fn masked(crc32c: u32) -> u32 {
    crc32c.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(value: u64) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            let mut cursor = Cursor::new(&bytes);
            prop_assert_eq!(cursor.varint(), Ok(value));
            prop_assert!(cursor.is_empty());
            // Cut anywhere, it is refused.
            for cut in 0..bytes.len() {
                prop_assert!(Cursor::new(&bytes[..cut]).varint().is_err());
            }
        }
    }

    #[test]
    fn a_number_without_an_end_is_refused() {
        assert!(Cursor::new(&[0xff; 11]).varint().is_err());
        assert!(Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0x7f]).varint_u32().is_err());
    }

    #[test]
    fn a_length_beyond_the_end_is_refused() {
        assert!(Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0x0f, 1]).length_prefixed().is_err());
    }
}
