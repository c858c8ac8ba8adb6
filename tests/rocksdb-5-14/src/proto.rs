//! Protocol Buffers, as far as a judge needs them. Written for this crate alone, so that a mistake in tabletd's own walk is
//! not made twice.

/// One field of a message: its number, its bytes with their tag, and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    pub number: u64,
    pub raw: Vec<u8>,
    pub varint: u64,
    pub bytes: Vec<u8>,
}

fn varint(bytes: &[u8], at: &mut usize) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = bytes[*at];
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
    }
    panic!("a number without an end");
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// All fields, in the order of the message.
pub fn fields(message: &[u8]) -> Vec<Field> {
    let (mut at, mut all) = (0, Vec::new());
    while at < message.len() {
        let begin = at;
        let tag = varint(message, &mut at);
        let (mut number, mut bytes) = (0, Vec::new());
        match tag & 7 {
            0 => number = varint(message, &mut at),
            1 => at += 8,
            2 => {
                let length = varint(message, &mut at) as usize;
                bytes = message[at..at + length].to_vec();
                at += length;
            }
            5 => at += 4,
            other => panic!("wire type {other}"),
        }
        all.push(Field {
            number: tag >> 3,
            raw: message[begin..at].to_vec(),
            varint: number,
            bytes,
        });
    }
    all
}

/// The last number with that tag; 0 where there is none.
pub fn number(message: &[u8], wanted: u64) -> u64 {
    fields(message)
        .iter()
        .rfind(|field| field.number == wanted)
        .map_or(0, |field| field.varint)
}

/// The last bytes with that tag.
pub fn bytes(message: &[u8], wanted: u64) -> Vec<u8> {
    fields(message)
        .into_iter()
        .rfind(|field| field.number == wanted)
        .map_or_else(Vec::new, |field| field.bytes)
}

/// Appends a number.
pub fn put_number(out: &mut Vec<u8>, field: u64, value: u64) {
    put_varint(out, field << 3);
    put_varint(out, value);
}

/// Appends bytes.
pub fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(out, field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// The fields of a message but for these numbers, as bytes in order.
pub fn without(message: &[u8], numbers: &[u64]) -> Vec<u8> {
    let kept = fields(message)
        .into_iter()
        .filter(|field| !numbers.contains(&field.number));
    kept.flat_map(|field| field.raw).collect()
}
