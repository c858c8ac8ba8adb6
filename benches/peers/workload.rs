//! What is moved: tablets of files of given sizes, made where a root keeps them and taken in by `tabletctl`.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// Schema hash of every tablet made here.
pub(crate) const SCHEMA_HASH: u32 = 777;
const FIRST_TABLET: u64 = 10_000;

/// Tablets that all look alike.
#[derive(Clone)]
pub(crate) struct Workload {
    pub(crate) letter: &'static str,
    pub(crate) tablets: u64,
    /// Sizes of the files of each tablet.
    sizes: Vec<u64>,
}

impl Workload {
    /// L, M, S or T.
    pub(crate) fn named(letter: &str, quick: bool) -> Result<Self, String> {
        let scale = |full, quick_one| if quick { quick_one } else { full };
        let several = |count: usize, size: u64| std::iter::repeat_n(size, count);
        let (letter, tablets, sizes): (_, _, Vec<u64>) = match letter {
            "L" => ("L", 4, vec![scale(512 * MIB, 48 * MIB)]),
            "S" => ("S", scale(200, 20), several(20, 16 * KIB).collect()),
            // A few segments of a compacted base, younger ones, and many of the last minutes.
            "M" => {
                let old = several(1, 64 * MIB).chain(several(2, 8 * MIB));
                ("M", scale(24, 3), old.chain(several(8, 512 * KIB)).chain(several(30, 20 * KIB)).collect())
            }
            "T" => return Ok(Self::of_single_files(scale(20_000, 1000))),
            other => return Err(format!("--workload {other}: L, M, S or T")),
        };
        Ok(Self { letter, tablets, sizes })
    }

    /// That many tablets of one 4 KiB file.
    pub(crate) fn of_single_files(tablets: u64) -> Self {
        Self { letter: "T", tablets, sizes: vec![4 * KIB] }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.tablets * self.sizes.iter().sum::<u64>()
    }

    pub(crate) fn files(&self) -> u64 {
        self.tablets * self.sizes.len() as u64
    }

    pub(crate) fn describe(&self) -> String {
        format!("{} tablets, {} files, {} MiB", self.tablets, self.files(), self.bytes() / MIB)
    }

    pub(crate) fn tablet_ids(&self) -> std::ops::Range<u64> {
        FIRST_TABLET..FIRST_TABLET + self.tablets
    }

    /// Directory of a tablet below `data/`.
    pub(crate) fn dir_of(tablet: u64) -> String {
        format!("{}/{tablet}/{SCHEMA_HASH}", tablet % 1024)
    }

    /// Makes a storage root of `root` with these tablets.
    pub(crate) fn make_root(&self, root: &Path) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("{}: {error}", root.display());
        fs::create_dir_all(root).map_err(failed)?;
        // No tablets: only makes the root.
        import(root, "")?;
        let mut lines = String::new();
        let mut seed = 1;
        for tablet in self.tablet_ids() {
            let dir = root.join("data").join(Self::dir_of(tablet));
            fs::create_dir_all(&dir).map_err(failed)?;
            for (n, size_bytes) in self.sizes.iter().enumerate() {
                seed += 1;
                fill(&dir.join(format!("0200{n:012}_0.dat")), seed, *size_bytes).map_err(failed)?;
            }
            lines.push_str(&serde_json::json!({ "dir": dir }).to_string());
            lines.push('\n');
        }
        import(root, &lines)
    }
}

/// Bytes no file system can make smaller.
fn fill(path: &Path, seed: u64, size_bytes: u64) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut block = vec![0; usize::try_from(size_bytes.min(MIB)).unwrap_or(0)];
    let mut left = size_bytes;
    while left > 0 {
        for chunk in block.chunks_exact_mut(8) {
            // xorshift64
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            chunk.copy_from_slice(&state.to_le_bytes());
        }
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
        file.write_all(&block[..length])?;
        left -= length as u64;
    }
    Ok(())
}

fn import(root: &Path, lines: &str) -> Result<(), String> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tabletctl"))
        .args(["tablet", "import", "--batch", "-", "--root"])
        .arg(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("tabletctl: {error}"))?;
    let mut stdin = child.stdin.take().ok_or("tabletctl has no input")?;
    stdin.write_all(lines.as_bytes()).map_err(|error| format!("tabletctl: {error}"))?;
    drop(stdin);
    let status = child.wait().map_err(|error| format!("tabletctl: {error}"))?;
    status.success().then_some(()).ok_or_else(|| format!("tabletctl tablet import: {status}"))
}

/// All files below a directory.
pub(crate) fn files_below(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let walk = walkdir::WalkDir::new(dir).sort_by_file_name();
    walk.into_iter()
        .filter_map(|entry| match entry {
            Ok(entry) => entry.file_type().is_file().then(|| Ok(entry.into_path())),
            Err(error) => Some(Err(error.to_string())),
        })
        .collect()
}
