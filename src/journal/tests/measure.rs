//! How fast it is, on the disk below the temporary directory: `cargo test --release journal -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use tempfile::tempdir;

use super::open;
use super::samples::sample;
use crate::journal::{Filter, Operation};
use crate::model::Status;

#[test]
#[ignore = "prints measurements"]
fn commits_per_second_and_the_time_of_a_start() {
    for batch in [1, 16, 256] {
        let dir = tempdir().unwrap();
        let (mut journal, _) = open(dir.path());
        let migration = sample(1);
        let operations = vec![Operation::Accept(&migration); batch];
        let (begun, mut commits) = (Instant::now(), 0_u32);
        while begun.elapsed() < Duration::from_secs(3) {
            assert_eq!(journal.commit(&operations).unwrap().len(), batch);
            commits += 1;
        }
        let rate = f64::from(commits) / begun.elapsed().as_secs_f64();
        println!("batches of {batch:3}: {rate:7.0} commits/s, {:8.0} accepts/s", rate * batch as f64);
    }

    let dir = tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let migration = sample(1);
    for _ in 0..100 {
        journal.commit(&vec![Operation::Accept(&migration); 1_000]).unwrap();
    }
    journal.close().unwrap();
    let size_bytes = std::fs::metadata(dir.path().join("journal.db")).unwrap().len();
    println!("100,000 rows: {size_bytes} bytes");
    let timed = |what: &str, begun: Instant| println!("{what}: {:.0?}", begun.elapsed());
    let begun = Instant::now();
    let (mut journal, _) = open(dir.path());
    timed("open (with quick_check)", begun);
    let begun = Instant::now();
    assert_eq!(journal.unfinished().unwrap().migrations.len(), 100_000);
    timed("load 100,000 unfinished", begun);
    let begun = Instant::now();
    assert_eq!(journal.list(&Filter::default()).unwrap().total, 100_000);
    timed("list, no filter", begun);
    let begun = Instant::now();
    let filter = Filter {
        destination: Some(crate::journal::DiskMatch::Path("/none".to_owned())),
        ..Filter::default()
    };
    assert_eq!(journal.list(&filter).unwrap().total, 0);
    timed("list by a disk nobody uses", begun);

    let mut migration = journal.get(crate::model::MigrationId(500)).unwrap().unwrap();
    let (begun, mut commits) = (Instant::now(), 0_u32);
    while begun.elapsed() < Duration::from_secs(3) {
        migration.status = Status::ALL[commits as usize % Status::ALL.len()];
        journal.commit(&[Operation::Update(&migration)]).unwrap();
        commits += 1;
    }
    println!("single updates: {:.0} commits/s", f64::from(commits) / begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    journal.commit(&vec![Operation::Update(&migration); 256]).unwrap();
    timed("one commit of 256 updates", begun);
}
