//! Rounds of what a node with a Doris backend goes through: tabletctl moves tablets, the true RocksDB 5.14.2 opens both
//! roots, every key is compared, then it changes them as a backend does and is killed; again.
//!
//! `rocksdb-5-14 rounds COUNT [SEED]`, with `TABLETCTL` for the program that is tried. `generate ROOT FIRST COUNT` makes a
//! root to measure with; the rest is for looking closer.

mod churn;
mod db;
mod generate;
mod judge;
mod proto;
mod records;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use db::{Content, Database};
use judge::{Before, files, judge};
use records::tablets;

/// Small, so that small databases have logs and tables of every kind.
const WRITE_BUFFER_BYTES: usize = 300_000;
const CHANGES: usize = 40;

pub struct Random(u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound.max(1)
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let end = match args[1..] {
        ["rounds", count] => rounds(number(count), 1),
        ["rounds", count, seed] => rounds(number(count), number(seed)),
        ["backend", root, seed, out] => backend(Path::new(root), number(seed), Path::new(out)),
        ["dump", meta] => Database::open(Path::new(meta), WRITE_BUFFER_BYTES).and_then(|database| {
            let content = database.content()?;
            content.iter().for_each(|(key, value)| println!("{} {}", String::from_utf8_lossy(key), value.len()));
            Ok(())
        }),
        ["generate", root, first, count] => generate(Path::new(root), number(first), number(count)),
        ["survivors", dir] => survivors(Path::new(dir)),
        _ => Err("rocksdb-5-14 rounds COUNT [SEED] | dump META | generate ROOT FIRST COUNT | survivors DIR".to_owned()),
    };
    if let Err(why) = end {
        eprintln!("{why}");
        std::process::exit(1);
    }
}

/// A backend's life: opens the database, says what it read, changes it, says what it left, and is killed.
fn backend(root: &Path, seed: u64, out: &Path) -> Result<(), String> {
    let database = Database::open(&root.join("meta"), WRITE_BUFFER_BYTES)?;
    let mut content = database.content()?;
    write(&out.join("read"), &content);
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    churn::churn(&database, &mut content, &mut random, CHANGES)?;
    if seed % 4 == 0 {
        database.compact();
        churn::churn(&database, &mut content, &mut random, CHANGES / 4)?;
    }
    write(&out.join("left"), &content);
    // SAFETY: the end of this process, as its backend's.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    unreachable!()
}

/// A root of that many tablets, like those of a fixture.
fn generate(root: &Path, first: u64, count: u64) -> Result<(), String> {
    let node = Node::new();
    let pattern = Database::open(&node.roots[0].join("meta"), WRITE_BUFFER_BYTES)?.content()?;
    std::fs::remove_dir_all(&node.dir).map_err(|error| error.to_string())?;
    generate::generate(root, &pattern, first, count)
}

/// Databases that tabletd's reader took although they had been changed (`tests/doris/hostile.rs`), each with what it read:
/// 5.14.2 reads the same.
fn survivors(dir: &Path) -> Result<(), String> {
    let (mut alike, mut differ) = (0, 0);
    for entry in std::fs::read_dir(dir).map_err(|error| error.to_string())? {
        let case = entry.map_err(|error| error.to_string())?.path();
        let theirs = Database::open(&case.join("meta"), WRITE_BUFFER_BYTES)
            .and_then(|database| database.content());
        if theirs.as_ref() == Ok(&read(&case.join("ours"))) {
            alike += 1;
        } else {
            differ += 1;
            let said = theirs.map(|content| format!("{} keys", content.len()));
            println!(
                "{}: {said:?}, ours {} keys",
                case.display(),
                read(&case.join("ours")).len()
            );
        }
    }
    println!("{alike} read alike, {differ} do not");
    if differ == 0 {
        Ok(())
    } else {
        Err("the reader gives another answer than 5.14.2".to_owned())
    }
}

fn write(path: &Path, content: &Content) {
    let mut bytes = Vec::new();
    for part in content.iter().flat_map(|(key, value)| [key, value]) {
        bytes.extend((part.len() as u32).to_le_bytes());
        bytes.extend(part);
    }
    std::fs::write(path, bytes).expect("writable");
}

fn read(path: &Path) -> Content {
    let bytes = std::fs::read(path).expect("readable");
    let mut at = 0;
    let mut part = || {
        let length = u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four")) as usize;
        at += 4 + length;
        bytes[at - length..at].to_vec()
    };
    let mut content = Content::new();
    let mut left = bytes.len();
    while left > 0 {
        let (key, value) = (part(), part());
        left -= 8 + key.len() + value.len();
        content.insert(key, value);
    }
    content
}

struct Node {
    dir: PathBuf,
    roots: [PathBuf; 2],
    tabletctl: PathBuf,
}

impl Node {
    fn new() -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let dir = std::env::temp_dir().join(format!("rocksdb-5-14-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("writable");
        let archive = here.join("../fixtures/doris/clean.tar.gz");
        let done = Command::new("tar")
            .arg("xzf")
            .arg(archive)
            .arg("-C")
            .arg(&dir)
            .status();
        assert!(done.expect("tar runs").success());
        let roots = ["hdd1", "hdd2"].map(|root| dir.join("clean").join(root));
        let conf = format!(
            "storage_root_path = {};{}\nstate_dir = {}\nstorage_flood_stage_usage_percent = 100\n\
             storage_flood_stage_left_capacity_bytes = 0\n",
            roots[0].display(),
            roots[1].display(),
            dir.join("state").display()
        );
        std::fs::write(dir.join("be.conf"), conf).expect("writable");
        let built = || here.join("../../target/debug/tabletctl");
        let tabletctl = std::env::var_os("TABLETCTL").map_or_else(built, PathBuf::from);
        Self {
            dir,
            roots,
            tabletctl,
        }
    }

    fn doris(&self, args: &[String]) -> Command {
        let mut command = Command::new(&self.tabletctl);
        command
            .arg("doris")
            .args(args)
            .arg("--conf")
            .arg(self.dir.join("be.conf"));
        command
    }

    fn run(&self, args: &[String]) -> Result<(), String> {
        let output = self
            .doris(args)
            .output()
            .map_err(|error| error.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match output.status.success() {
            true => Ok(()),
            false => Err(format!(
                "{args:?}: {}{}",
                text(&output.stdout),
                text(&output.stderr)
            )),
        }
    }

    /// Both backends live their lives. What they read at their start, and what they left.
    fn backends(&self, seed: u64) -> Result<([Content; 2], [Content; 2]), String> {
        let mut read_and_left = [const { (Content::new(), Content::new()) }; 2];
        for (root, ends) in self.roots.iter().zip(&mut read_and_left) {
            let mut command =
                Command::new(std::env::current_exe().map_err(|error| error.to_string())?);
            command
                .arg("backend")
                .arg(root)
                .arg(seed.to_string())
                .arg(&self.dir);
            let output = command.output().map_err(|error| error.to_string())?;
            if output.status.code().is_some() {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                return Err(format!("5.14.2 does not open {}: {said}", root.display()));
            }
            *ends = (read(&self.dir.join("read")), read(&self.dir.join("left")));
        }
        let [(read_0, left_0), (read_1, left_1)] = read_and_left;
        Ok(([read_0, read_1], [left_0, left_1]))
    }

    fn before(&self, content: [Content; 2]) -> Before {
        let mut all = std::collections::BTreeMap::new();
        for (root, content) in self.roots.iter().zip(&content) {
            all.extend(
                tablets(content)
                    .iter()
                    .map(|tablet| (tablet.id, files(&root.join(tablet.directory())))),
            );
        }
        Before {
            content,
            files: all,
        }
    }
}

fn rounds(count: u64, seed: u64) -> Result<(), String> {
    let node = Node::new();
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let (_, left) = node.backends(seed)?;
    let mut before = node.before(left);
    let (mut moves, mut killed, begun) = (0, 0, Instant::now());
    for round in 1..=count {
        let about = |why: String| {
            format!(
                "round {round} of seed {seed}, below {}: {why}",
                node.dir.display()
            )
        };
        let from =
            usize::from(tablets(&before.content[0]).len() < tablets(&before.content[1]).len());
        let all = tablets(&before.content[from]);
        let mut args = vec!["move".to_owned()];
        let mut asked = Vec::new();
        for tablet in all.iter().filter(|_| random.below(3) == 0) {
            args.extend(["--tablet".to_owned(), tablet.id.to_string()]);
            asked.push(tablet.id);
        }
        if !asked.is_empty() {
            args.extend([
                "--to".to_owned(),
                node.roots[1 - from].display().to_string(),
                "--yes".to_owned(),
            ]);
            // One in four is killed at any moment, and brought to its end.
            if round % 4 == 1 {
                let mut child = node
                    .doris(&args)
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .expect("runs");
                std::thread::sleep(Duration::from_millis(random.below(400)));
                child.kill().expect("ours");
                killed += u64::from(child.wait().expect("ends").code().is_none());
                node.run(&["resume".to_owned()]).map_err(about)?;
                asked.clear();
            } else {
                node.run(&args).map_err(about)?;
            }
        }
        let (read, left) = node.backends(seed + round).map_err(about)?;
        let roots = [node.roots[0].as_path(), node.roots[1].as_path()];
        let moved = judge(&before, &read, roots).map_err(about)?;
        if let Some(stayed) = asked.iter().find(|id| !moved.contains(id)) {
            return Err(about(format!("{stayed} did not move")));
        }
        moves += moved.len();
        before = node.before(left);
        if round % 10 == 0 {
            // What has been changed by the backend since is not purged; that is no failure.
            let _ = node.run(&["confirm".to_owned()]);
            node.run(&["purge".to_owned(), "--yes".to_owned()])
                .map_err(about)?;
        }
        if round % 50 == 0 || round == count {
            println!(
                "{round} rounds, {moves} moves, {killed} runs killed, {} s: all held",
                begun.elapsed().as_secs()
            );
        }
    }
    std::fs::remove_dir_all(&node.dir).map_err(|error| error.to_string())
}
