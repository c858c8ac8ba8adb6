//! Databases that somebody has been at: whatever is flipped, cut, swapped, doubled, zeroed or taken from another file, the
//! reader refuses it, or reads what RocksDB 5.14.2 would read. Never a panic, and never another answer.
//!
//! Of a log that is changed at some place, RocksDB reads what stands before that place and may miss what stands behind it:
//! so may we. Everything else that is read must be as if nothing had been changed. Two changes leave nothing that any reader
//! could see, and are not tried: a MANIFEST cut behind a whole record, and the exchange of whole blocks in the middle of one
//! record of a log, whose fragments do not say where they belong.
//!
//! `TABLETD_MUTATIONS` says how many per root; `scripts/mutate_doris.sh` runs 100,000. Into `TABLETD_SURVIVORS` go the
//! databases that read as something else than before, for the true 5.14.2 to judge (`tests/rocksdb-5-14`, `survivors`).

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

use tabletd::doris::database::{Database, Strictness};
use tabletd::doris::error::DorisError;
use tabletd::doris::log::{LogReader, TornTail};

use crate::fixtures::{InMemory, each_root};

/// In a run of all tests: about 20 s for all roots.
const MUTATIONS: u64 = 60;

/// All keys and values that a database gives, as one number.
fn answer(files: &InMemory, strictness: Strictness) -> Result<u64, DorisError> {
    let database = Database::open(files, strictness)?;
    let mut sum = DefaultHasher::new();
    database.for_each(&mut |_| {}, &mut |key, value| (key, value).hash(&mut sum))?;
    Ok(sum.finish())
}

struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below.max(1) as u64).expect("below")
    }
}

/// One database, and what it may read as once one of its logs has been changed.
struct Subject {
    whole: InMemory,
    names: Vec<String>,
    before: u64,
    /// Of each log: where its records end, and what the database reads as with just as many of them.
    cut: BTreeMap<String, Vec<(usize, u64)>>,
}

impl Subject {
    fn new(meta: &Path) -> Option<Self> {
        let whole = InMemory::of(meta);
        let before = answer(&whole, Strictness::Refuse).ok()?;
        let names: Vec<String> =
            whole.0.iter().filter(|(_, bytes)| !bytes.is_empty()).map(|(name, _)| name.clone()).collect();
        let mut cut = BTreeMap::new();
        for name in names.iter().filter(|name| name.ends_with(".log")) {
            let bytes = &whole.0[name];
            let records = LogReader::new(name, bytes, TornTail::Allowed).map(|record| record.expect("whole"));
            let begins: Vec<usize> =
                records.map(|record| usize::try_from(record.offset).expect("fits")).collect();
            let ends = begins.iter().skip(1).copied().chain([bytes.len()]);
            let mut answers = vec![(0, Self::with(&whole, name, 0))];
            // Where the next record begins, this one has ended.
            answers.extend(ends.map(|end| (end, Self::with(&whole, name, end))));
            cut.insert(name.clone(), answers);
        }
        Some(Self { whole, names, before, cut })
    }

    fn with(whole: &InMemory, log: &str, length: usize) -> u64 {
        let mut files = InMemory(whole.0.clone());
        Arc::make_mut(files.0.get_mut(log).expect("is there")).truncate(length);
        answer(&files, Strictness::Refuse).expect("a log may end anywhere")
    }

    /// Whether that answer may be given with `file` changed from `at` on.
    fn may_be(&self, after: u64, file: &str, at: usize) -> bool {
        let of_a_cut = |answers: &Vec<(usize, u64)>| {
            // The record before a boundary that lies in the filling of a block has ended further in front.
            let whole = answers.iter().filter(|(end, _)| *end <= at).count().saturating_sub(1);
            answers[whole..].iter().any(|(_, answer)| *answer == after)
        };
        after == self.before || self.cut.get(file).is_some_and(of_a_cut)
    }

    /// Whether a block of that file is the middle of a record, and nothing else.
    fn is_middle(bytes: &[u8], at: usize) -> bool {
        const BLOCK: usize = 32 << 10;
        const MIDDLE: u8 = 3;
        bytes.get(at..at + BLOCK).is_some_and(|block| {
            block[6] == MIDDLE && usize::from(u16::from_le_bytes([block[4], block[5]])) == BLOCK - 7
        })
    }

    /// Where the records of a MANIFEST begin, and where the last one ends.
    fn boundaries(&self, name: &str) -> Vec<usize> {
        let bytes = &self.whole.0[name];
        let records = LogReader::new(name, bytes, TornTail::Damage).map(|record| record.expect("whole"));
        let begins = records.map(|record| usize::try_from(record.offset).expect("fits"));
        begins.chain([bytes.len()]).collect()
    }

    /// Changes a file. Says which, from where on, and how.
    fn mutate(&self, random: &mut Random) -> (InMemory, String, usize, &'static str) {
        let mut files = InMemory(self.whole.0.clone());
        let name = self.names[random.next(self.names.len())].clone();
        let other = Arc::clone(&self.whole.0[&self.names[random.next(self.names.len())]]);
        let bytes = Arc::make_mut(files.0.get_mut(&name).expect("is there"));
        let at = random.next(bytes.len());
        let size = [7, 64, 512, 4096, 32 << 10][random.next(5)];
        let (from, to) = (at / size * size, random.next(bytes.len()) / size * size);
        let length = size.min(bytes.len() - from).min(bytes.len() - to);
        let unseen = Self::is_middle(bytes, from) || Self::is_middle(&other, from);
        let unseen =
            unseen && size == 32 << 10 && (Self::is_middle(bytes, to) || Self::is_middle(bytes, from));
        let cut_behind_record = name.starts_with("MANIFEST-") && self.boundaries(&name).contains(&at);
        let kind = match random.next(10) {
            4 | 5 if cut_behind_record => 0,
            6.. if unseen => 0,
            kind => kind,
        };
        let (at, how) = match kind {
            0..=3 => {
                bytes[at] ^= 1 << random.next(8);
                (at, "a bit flipped")
            }
            4 | 5 => {
                bytes.truncate(at);
                (at, "cut")
            }
            6 => {
                for n in 0..length {
                    bytes.swap(from + n, to + n);
                }
                (from.min(to), "two blocks swapped")
            }
            7 => {
                bytes.copy_within(from..from + length, to);
                (to, "a block doubled")
            }
            8 => {
                bytes[from..from + length].fill(0);
                (from, "a block zeroed")
            }
            _ => {
                let length = length.min(other.len().saturating_sub(from));
                let taken = other.get(from..from + length).unwrap_or_default();
                bytes[from..from + taken.len()].copy_from_slice(taken);
                (from, "a block of another file")
            }
        };
        (files, name, at, how)
    }
}

/// Writes a database, and what was read in it, where the true 5.14.2 can say what it reads (`tests/rocksdb-5-14`).
fn keep(files: &InMemory, at: &Path) {
    std::fs::create_dir_all(at.join("meta")).expect("writable");
    for (name, bytes) in &files.0 {
        std::fs::write(at.join("meta").join(name), bytes.as_slice()).expect("writable");
    }
    let database = Database::open(files, Strictness::Refuse).expect("opened before");
    let mut content = Vec::new();
    let mut put = |part: &[u8]| {
        content.extend(u32::try_from(part.len()).expect("fits").to_le_bytes());
        content.extend(part);
    };
    let mut pair = |key: &[u8], value: &[u8]| [key, value].into_iter().for_each(&mut put);
    database.for_each(&mut |_| {}, &mut pair).expect("readable");
    std::fs::write(at.join("ours"), content).expect("writable");
}

#[test]
fn a_changed_database_is_refused_or_reads_as_rocksdb_reads_it() {
    let set = std::env::var("TABLETD_MUTATIONS").ok();
    let mutations = set.as_ref().map_or(MUTATIONS, |text| text.parse().expect("a number"));
    let seed = std::env::var("TABLETD_SEED").map_or(1, |text| text.parse::<u64>().expect("a number"));
    let survivors = std::env::var_os("TABLETD_SURVIVORS");
    let (mut tried, mut refused, mut wrong) = (0_u64, 0_u64, Vec::new());
    each_root(|node, root, path, _| {
        let Some(subject) = Subject::new(&path.join("meta")) else { return };
        let mut random = Random((0x9e37_79b9_7f4a_7c15 ^ seed.rotate_left(17)) | 1);
        for nth in 0..mutations {
            let (files, name, at, how) = subject.mutate(&mut random);
            match answer(&files, Strictness::Refuse) {
                Err(_) => refused += 1,
                Ok(after) if subject.may_be(after, &name, at) => {
                    if let Some(dir) = survivors.as_ref().filter(|_| after != subject.before) {
                        keep(&files, &Path::new(dir).join(format!("{node}-{root}-{nth}")));
                    }
                }
                Ok(_) => wrong.push(format!("{node}/{root}, mutation {nth}: {name} from {at} on, {how}")),
            }
            // What a rescue makes of it is for its reader to judge; it has to come to an end.
            if nth % 8 == 0 {
                let _ = answer(&files, Strictness::Rescue);
            }
            tried += 1;
        }
        if set.is_some() {
            eprintln!("{node}/{root}: {tried} tried, {refused} refused, {} wrong", wrong.len());
        }
    });
    assert!(tried >= 16 * mutations, "{tried}");
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
    // A backend's OPTIONS file says nothing that is read.
    assert!(refused > tried / 3, "{refused} of {tried}");
}
