//! The end of a segment file: the one checksum that a segment has of itself without being read whole
//! (`doris-be` section 3.6; `segment_v2.proto`).

use super::cursor::Cursor;
use super::source::ReadAt;

const MAGIC: &[u8] = b"D0R1";
/// Length of the footer, its CRC-32C, and the magic.
const END_BYTES: u64 = 12;

/// What is wrong with a segment's end; `None` where nothing is.
///
/// # Errors
/// The file cannot be read: what the system said.
pub fn damage_of_footer(file: &dyn ReadAt) -> Result<Option<&'static str>, String> {
    const NO_MAGIC: Option<&str> = Some("no magic at its end");
    let length = file.length_bytes();
    let Some(end_at) = length.checked_sub(END_BYTES) else { return Ok(NO_MAGIC) };
    let end = file.read_at(end_at, 12)?;
    if !end.ends_with(MAGIC) {
        return Ok(NO_MAGIC);
    }
    let mut cursor = Cursor::new(&end);
    let (Ok(footer_bytes), Ok(sum)) = (cursor.u32_le(), cursor.u32_le()) else { return Ok(NO_MAGIC) };
    let Some(footer_at) = end_at.checked_sub(u64::from(footer_bytes)) else {
        return Ok(Some("footer longer than the file"));
    };
    let footer =
        file.read_at(footer_at, usize::try_from(footer_bytes).map_err(|error| error.to_string())?)?;
    Ok((crc32c::crc32c(&footer) != sum).then_some("footer checksum"))
}
