//! What is put around a record of ours on disk, so that a flipped bit in it is seen.
//!
//! ```json
//! {"format":1,"crc32":"0c7e77c6","record":…}
//! ```
//! The checksum is CRC-32 over the exact bytes of `record`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The newest format this build writes and reads. Storage formats refuse what they do not know; only configuration is
/// lenient.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    format: u32,
    #[serde(borrow)]
    crc32: Cow<'a, str>,
    #[serde(borrow)]
    record: &'a RawValue,
}

/// `record` as bytes, checksum included.
///
/// # Errors
/// Only what `serde_json` may answer; our types always serialise.
pub(super) fn seal(record: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let record = serde_json::value::to_raw_value(record)?;
    serde_json::to_vec(&Envelope { format: FORMAT, crc32: checksum(&record).into(), record: &record })
}

/// What [`seal`] was given.
///
/// # Errors
/// In words: it does not parse, has another format, or another checksum.
pub(super) fn open(bytes: &[u8]) -> Result<&RawValue, String> {
    let envelope: Envelope<'_> =
        serde_json::from_slice(bytes).map_err(|error| format!("does not parse: {error}"))?;
    if envelope.format != FORMAT {
        return Err(format!("has format {}; this build reads {FORMAT}", envelope.format));
    }
    let found = checksum(envelope.record);
    if envelope.crc32 != found {
        return Err(format!("checksum is {found}, the record says {}", envelope.crc32));
    }
    Ok(envelope.record)
}

/// What [`seal`] was given, whatever its checksum says: nothing vouches for it.
pub(super) fn open_unsealed(bytes: &[u8]) -> Option<&RawValue> {
    serde_json::from_slice::<Envelope<'_>>(bytes).ok().map(|envelope| envelope.record)
}

fn checksum(record: &RawValue) -> String {
    format!("{:08x}", crc32fast::hash(record.get().as_bytes()))
}
