//! A write-ahead log, looked at before SQLite opens it (<https://sqlite.org/fileformat.html#the_write_ahead_log>).
//!
//! SQLite reads a log up to the first frame whose checksum is wrong and takes all behind it for a write that a power cut
//! tore: it forgets, without a word, every transaction behind one flipped bit. A torn write can only be in the last
//! transaction, because the next one begins after the last was synced. So a sound frame of a *later* transaction behind a
//! bad one proves damage. A flip in the very last transaction cannot be told from a torn write: that it is found is not
//! promised.
//!
//! A frame's checksum goes on from the one before it. Of a bad frame the recorded sums or the computed ones are right, so
//! that the next frame can be judged all the same. What an earlier turn of the log left behind its end has other salts. What
//! a full disk made a transaction give up has no end of its own, and what follows it in the file is not linked to it.
//!
//! Pure: bytes in, a verdict out.
//!
//! Damage is never silent. The files are copied aside, it is said (log, `/api/health`, `state_dir` in `/api/v1/status`,
//! metric), numbers that may have been given out are skipped, and in one transaction every unfinished migration is made to
//! wait for an operator and every running task is stopped (`journal/distrust.rs`). Each start folds the log in, so that
//! nothing is left behind its end. A journal that was put back from an older copy is treated alike where the disks know a
//! number that it never gave out (`engine/start/outdated.rs`); where they know none, it is not seen.

/// Length of the log's own header.
pub(super) const HEADER_BYTES: usize = 32;
/// Length of the header of a frame; a page follows.
const FRAME_HEADER_BYTES: usize = 24;
/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;
/// The header's first word; its last bit says in which order words are summed up.
const MAGIC: u32 = 0x377f_0682;
/// What pages may measure, as powers of two.
const PAGE_BITS: std::ops::RangeInclusive<u32> = 9..=16;

/// What is wrong with a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogDamage {
    /// Where the first bad byte may be: offset of the frame, or of the header.
    pub at_byte: u64,
    /// Sound frames of later transactions that SQLite would not read.
    pub frames_lost: u64,
}

/// Two running sums over words.
type Sums = (u32, u32);

/// How a log sums up its words.
#[derive(Clone, Copy)]
enum Words {
    LittleEndian,
    BigEndian,
}

impl Words {
    fn sum(self, start: Sums, bytes: &[u8]) -> Sums {
        let word = match self {
            Self::LittleEndian => u32::from_le_bytes,
            Self::BigEndian => u32::from_be_bytes,
        };
        let (mut first, mut second) = start;
        for [a, b, c, d, e, f, g, h] in bytes.as_chunks::<8>().0 {
            first = first.wrapping_add(word([*a, *b, *c, *d])).wrapping_add(second);
            second = second.wrapping_add(word([*e, *f, *g, *h])).wrapping_add(first);
        }
        (first, second)
    }
}

/// Headers are big-endian, whatever is summed up how.
fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes)
}

/// A frame, as it says of itself.
struct Frame<'a> {
    at: usize,
    bytes: &'a [u8],
}

impl Frame<'_> {
    /// Pages of the database after the transaction that this frame ends; 0 in the middle of one.
    fn commit_pages(&self) -> u32 {
        word(self.bytes, 4)
    }

    fn salts(&self) -> (u32, u32) {
        (word(self.bytes, 8), word(self.bytes, 12))
    }

    fn recorded(&self) -> Sums {
        (word(self.bytes, 16), word(self.bytes, 20))
    }

    fn sums(&self, words: Words, before: Sums) -> Sums {
        words.sum(words.sum(before, &self.bytes[..8]), &self.bytes[FRAME_HEADER_BYTES..])
    }

    /// Whether its header may be half of another frame: a torn write leaves whole sectors of what was there before.
    fn spans_sectors(&self) -> bool {
        self.at / SECTOR_BYTES != (self.at + FRAME_HEADER_BYTES - 1) / SECTOR_BYTES
    }

    /// Whether one flipped bit makes it sound, and hides that it ends a transaction.
    fn hides_an_end(&self, words: Words, before: &[Sums]) -> bool {
        let page = &self.bytes[FRAME_HEADER_BYTES..];
        self.commit_pages() == 0
            && (0..32).any(|bit| {
                let head = [&self.bytes[..4], &(1_u32 << bit).to_be_bytes()].concat();
                before.iter().any(|before| words.sum(words.sum(*before, &head), page) == self.recorded())
            })
    }
}

/// What is wrong with a log; `None` when nothing is, or nothing that a torn write does not explain as well.
pub(super) fn damage(log: &[u8]) -> Option<LogDamage> {
    let header = log.get(..HEADER_BYTES)?;
    // A header that lies about the length of pages is read with each of them.
    let page_bytes = word(header, 8);
    let is_likely = page_bytes.is_power_of_two() && PAGE_BITS.contains(&page_bytes.trailing_zeros());
    let words = [Words::LittleEndian, Words::BigEndian];
    let recorded = (word(header, 24), word(header, 28));
    if let (true, Some(words)) = (is_likely, words.get((word(header, 0) ^ MAGIC) as usize))
        && words.sum((0, 0), &header[..24]) == recorded
    {
        let salts = (word(header, 16), word(header, 20));
        return Walk::new(log, page_bytes as usize, *words, vec![recorded]).damage(salts);
    }
    // SQLite takes a log with a bad header for an empty one. A frame that follows from it says that it was none: the header
    // is synced before the first frame is written.
    let tried = PAGE_BITS.flat_map(|bits| words.map(|words| (1 << bits, words)));
    let frames_lost = tried
        .map(|(page_bytes, words)| {
            let sums = vec![recorded, words.sum((0, 0), &header[..24])];
            Walk::new(log, page_bytes, words, sums).following()
        })
        .max()?;
    (frames_lost > 0).then_some(LogDamage { at_byte: 0, frames_lost })
}

/// One walk over the frames of a log.
struct Walk<'a> {
    log: &'a [u8],
    page_bytes: usize,
    words: Words,
    /// What the next frame may follow from: the sums that the one before recorded, and those it should have. Of a frame
    /// that is damaged one of the two is right.
    before: Vec<Sums>,
}

/// What is seen from the first bad frame on.
struct Behind {
    first_bad: usize,
    /// A transaction has ended in it or behind it.
    ended: bool,
    /// Every frame since then follows from the one before.
    linked: bool,
    /// Sound frames since then.
    frames_lost: u64,
    /// One of them can be of no torn write.
    proven: bool,
}

impl<'a> Walk<'a> {
    const fn new(log: &'a [u8], page_bytes: usize, words: Words, before: Vec<Sums>) -> Self {
        Self { log, page_bytes, words, before }
    }

    fn frames(&self) -> impl Iterator<Item = Frame<'a>> + use<'a> {
        let length = FRAME_HEADER_BYTES + self.page_bytes;
        let frames = self.log[HEADER_BYTES..].chunks_exact(length);
        frames.enumerate().map(move |(n, bytes)| Frame { at: HEADER_BYTES + n * length, bytes })
    }

    /// Whether the frame follows from the one before. The next is compared with this one then.
    fn follows(&mut self, frame: &Frame<'_>) -> bool {
        let recorded = frame.recorded();
        let computed: Vec<_> = self.before.iter().map(|before| frame.sums(self.words, *before)).collect();
        let follows = computed.contains(&recorded);
        self.before = vec![recorded];
        if !follows {
            self.before.extend(computed.first());
        }
        follows
    }

    /// How many frames follow from the one before, whatever their salts. Zeros follow from zeros, and are no frames.
    fn following(mut self) -> u64 {
        self.frames().filter(|frame| self.follows(frame) && frame.recorded() != (0, 0)).count() as u64
    }

    fn damage(mut self, salts: (u32, u32)) -> Option<LogDamage> {
        let mut seen: Option<Behind> = None;
        for frame in self.frames() {
            let before = self.before.clone();
            let follows = self.follows(&frame);
            let is_ours = frame.salts() == salts;
            let is_sound = follows && is_ours;
            if seen.is_none() && is_sound {
                continue;
            }
            let behind = seen.get_or_insert(Behind {
                first_bad: frame.at,
                ended: false,
                linked: false,
                frames_lost: 0,
                proven: false,
            });
            if behind.ended {
                behind.linked &= follows;
                behind.frames_lost += u64::from(is_sound);
                // A transaction that was given up for want of space has no end, and nothing is linked to it.
                behind.proven |= is_sound && (behind.linked || frame.commit_pages() != 0);
            }
            let says_so = frame.commit_pages() != 0
                && (follows || (is_ours && (frame.at == behind.first_bad || !frame.spans_sectors())));
            if says_so || (is_ours && !follows && frame.hides_an_end(self.words, &before)) {
                (behind.ended, behind.linked) = (true, true);
            }
        }
        let behind = seen.filter(|behind| behind.proven)?;
        Some(LogDamage { at_byte: behind.first_bad as u64, frames_lost: behind.frames_lost })
    }
}
