//! What the disks can do: the same bytes copied with `O_DIRECT` into files that exist already, by eight threads; no
//! names, no checksums, no journal. Then flushed, then read back.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use nix::fcntl::OFlag;
use nix::sys::resource::UsageWho;

use super::contestant::{Place, Run};
use super::daemon::empty;
use super::machine;
use super::workload::files_below;

const THREADS: usize = 8;
const BLOCK_BYTES: usize = 1 << 20;
const ALIGN_BYTES: usize = 4096;

/// A block of one file.
struct Block {
    file: usize,
    offset_bytes: u64,
    length: usize,
}

/// Copies in place, flushes, reads back.
pub(crate) fn run(place: &Place) -> Result<Run, String> {
    let sources = files_below(&place.source_root.join("data"))?;
    let to = place.copy();
    empty(&to)?;
    let mut blocks = Vec::new();
    let mut pairs = Vec::new();
    for (n, source) in sources.into_iter().enumerate() {
        let dest = to.join(n.to_string());
        let length = std::fs::copy(&source, &dest).map_err(|error| format!("{}: {error}", dest.display()))?;
        for offset_bytes in (0..length).step_by(BLOCK_BYTES) {
            let left = usize::try_from(length - offset_bytes).unwrap_or(usize::MAX);
            blocks.push(Block { file: n, offset_bytes, length: left.min(BLOCK_BYTES) });
        }
        pairs.push((source, dest));
    }
    machine::drop_caches();
    let (cache, cpu) = (machine::page_cache_bytes(), machine::cpu_seconds(UsageWho::RUSAGE_SELF));
    let begun = Instant::now();
    each_block(&blocks, &pairs, |from, to, block, buffer| {
        from.read_exact_at(buffer, block.offset_bytes)?;
        to.write_all_at(buffer, block.offset_bytes)
    })?;
    let dir = File::open(&to).map_err(|error| format!("{}: {error}", to.display()))?;
    nix::unistd::syncfs(&dir).map_err(|errno| format!("{}: {errno}", to.display()))?;
    let copied = begun.elapsed();
    each_block(&blocks, &pairs, |_, to, block, buffer| to.read_exact_at(buffer, block.offset_bytes))?;
    let run = Run {
        wall_s: copied.as_secs_f64(),
        verified_wall_s: Some(begun.elapsed().as_secs_f64()),
        cpu_s: machine::cpu_seconds(UsageWho::RUSAGE_SELF) - cpu,
        cache_growth_bytes: machine::page_cache_bytes().saturating_sub(cache),
        tablets: place.workload.tablets,
        notes: Vec::new(),
    };
    empty(&to)?;
    Ok(run)
}

fn each_block(
    blocks: &[Block],
    pairs: &[(PathBuf, PathBuf)],
    work: impl Fn(&File, &File, &Block, &mut [u8]) -> std::io::Result<()> + Sync,
) -> Result<(), String> {
    let next = AtomicUsize::new(0);
    let thread = || -> std::io::Result<()> {
        let mut memory = vec![0; BLOCK_BYTES + ALIGN_BYTES];
        let start = memory.as_ptr().addr().next_multiple_of(ALIGN_BYTES) - memory.as_ptr().addr();
        let mut open: Option<(usize, File, File)> = None;
        while let Some(block) = blocks.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (from, to) = match &open {
                Some((file, from, to)) if *file == block.file => (from, to),
                _ => {
                    let (from, to) = &pairs[block.file];
                    let pair = open.insert((block.file, direct(from, false)?, direct(to, true)?));
                    (&pair.1, &pair.2)
                }
            };
            // All sizes here are multiples of the alignment.
            work(from, to, block, &mut memory[start..start + block.length])?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(thread)).collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(done) => done.map_err(|error| format!("the limit: {error}")),
            Err(_) => Err("the limit: a thread panicked".to_owned()),
        })
    })
}

fn direct(path: &Path, write: bool) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(write).custom_flags(OFlag::O_DIRECT.bits()).open(path)
}
