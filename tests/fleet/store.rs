//! What every store keeps, tried with each: the one of a process, and a real etcd that the test starts.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tabletd::store::{
    Change, Changes, Etcd, Expect, Process, Sqlite, Standing, Store, StoreError, VALUE_BYTES_MAX,
};
use tempfile::TempDir;

use crate::harness::mounts::skip;

/// An etcd of its own, on ports of its own.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    _dir: TempDir,
}

impl Server {
    /// `None`, visibly, where there is no etcd.
    pub(crate) fn start() -> Option<Self> {
        if Command::new("etcd").arg("--version").output().is_err() {
            skip("etcd is not installed");
            return None;
        }
        let free =
            || TcpListener::bind("127.0.0.1:0").and_then(|one| one.local_addr()).expect("a port").port();
        let (client, peer) = (format!("http://127.0.0.1:{}", free()), format!("http://127.0.0.1:{}", free()));
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut command = Command::new("etcd");
        command.args(["--name", "one", "--log-level", "error", "--data-dir"]).arg(dir.path());
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &format!("one={peer}")]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("etcd");
        let server = Self { child, url: client, _dir: dir };
        let deadline = Instant::now() + Duration::from_secs(30);
        while Etcd::new(std::slice::from_ref(&server.url), "probe").snapshot().is_err() {
            assert!(Instant::now() < deadline, "etcd does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn process(name: &str) -> Process {
    Process { name: name.to_owned(), addr: "127.0.0.1:8240".to_owned(), version: "0".to_owned() }
}

fn put(key: &str, value: &str, expect: Expect) -> Change {
    Change { key: key.to_owned(), value: Some(value.to_owned()), expect }
}

/// What the leader loop takes for granted of a store.
fn conforms(store: &dyn Store) {
    let Ok(Standing::Leads(lead)) = store.lead(&process("one")) else { panic!("the first one leads") };
    assert!(!lead.believed_until.has_passed());
    let Ok(Standing::Leads(again)) = store.lead(&process("one")) else { panic!("it goes on") };
    assert_eq!((again.epoch, again.fence), (lead.epoch, lead.fence), "renewing is no new leadership");
    assert_eq!(store.processes().expect("processes"), [process("one")]);

    // All or nothing, and only where everything is as it was taken to be.
    let first = store
        .commit(&lead, &[put("a", "1", Expect::Absent), put("b", "1", Expect::Absent)])
        .expect("a write");
    let refused = store.commit(&lead, &[put("c", "1", Expect::Absent), put("a", "2", Expect::Absent)]);
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    let second = store.commit(&lead, &[put("a", "2", Expect::Revision(first))]).expect("a write");
    assert!(second > first);
    let stale = store.commit(&lead, &[put("a", "3", Expect::Revision(first))]);
    assert!(matches!(stale, Err(StoreError::Conflict(_))), "{stale:?}");
    let snapshot = store.snapshot().expect("a snapshot");
    let values: Vec<_> =
        snapshot.records.iter().map(|(key, record)| (key.as_str(), record.value.as_str())).collect();
    assert_eq!(values, [("a", "2"), ("b", "1")]);
    assert_eq!(snapshot.records["a"].revision, second);

    // What follows a snapshot, together with it, is what is there: told, or said to be read anew.
    let gone = Change { key: "b".to_owned(), value: None, expect: Expect::Revision(first) };
    let third = store.commit(&lead, &[gone, put("d/e", "x", Expect::Any)]).expect("a write");
    match store.changes_after(snapshot.revision, Duration::ZERO).expect("changes") {
        Changes::Compacted => {}
        Changes::Some(changes, revision) => {
            assert_eq!(revision, third);
            let keys: Vec<_> = changes.iter().map(|(key, record)| (key.as_str(), record.is_some())).collect();
            assert_eq!(keys, [("b", false), ("d/e", true)]);
        }
    }
    let now = store.snapshot().expect("a snapshot");
    assert_eq!(now.records.keys().collect::<Vec<_>>(), ["a", "d/e"]);
    let quiet = store.changes_after(now.revision, Duration::from_millis(10)).expect("changes");
    assert!(matches!(quiet, Changes::Some(ref changes, _) if changes.is_empty()), "{quiet:?}");

    // As much as every store takes, and not more.
    let large = "x".repeat(VALUE_BYTES_MAX);
    store.commit(&lead, &[put("large", &large, Expect::Any)]).expect("a large record");
    let larger = store.commit(&lead, &[put("large", &(large + "x"), Expect::Any)]);
    assert!(matches!(larger, Err(StoreError::TooLarge(_))), "{larger:?}");
    let many: Vec<_> = (0..101).map(|n| put(&format!("many/{n}"), "1", Expect::Any)).collect();
    store.commit(&lead, &many[..100]).expect("a hundred records");
    assert!(matches!(store.commit(&lead, &many), Err(StoreError::TooLarge(_))));

    // The next leadership has a higher number, and the former one writes nothing any more.
    store.resign().expect("it resigns");
    let Ok(Standing::Leads(next)) = store.lead(&process("one")) else { panic!("it leads again") };
    assert!(next.epoch > lead.epoch);
    let late = store.commit(&lead, &[put("a", "late", Expect::Any)]);
    assert!(matches!(late, Err(StoreError::NotLeading)), "{late:?}");
    store.commit(&next, &[put("a", "5", Expect::Any)]).expect("the new leadership writes");
}

#[test]
fn the_store_of_one_process_conforms_and_outlives_it() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = Sqlite::open(dir.path()).expect("a store");
    conforms(&store);
    assert!(matches!(Sqlite::open(dir.path()), Err(StoreError::InUse(_))), "one process at a time");
    let before = store.snapshot().expect("a snapshot");
    drop(store);
    let store = Sqlite::open(dir.path()).expect("a store");
    assert_eq!(store.snapshot().expect("a snapshot"), before);
}

#[test]
fn a_store_on_etcd_conforms() {
    let Some(server) = Server::start() else { return };
    conforms(&Etcd::new(std::slice::from_ref(&server.url), "prod"));
    // Another fleet in the same etcd sees nothing of it.
    let other = Etcd::new(&["http://127.0.0.1:1".to_owned(), server.url.clone()], "test");
    assert!(other.snapshot().expect("the second address answers").records.is_empty());
}

#[test]
fn of_two_processes_on_etcd_one_leads_and_the_other_takes_over_when_its_lease_ends() {
    let Some(server) = Server::start() else { return };
    let store = || Etcd::new(std::slice::from_ref(&server.url), "prod");
    let (one, two) = (store(), store());
    let Ok(Standing::Leads(lead)) = one.lead(&process("one")) else { panic!("the first one leads") };
    let follows = two.lead(&process("two")).expect("an answer");
    let Standing::Follows(Some(leader)) = follows else { panic!("{follows:?}") };
    assert_eq!((leader.process.name.as_str(), leader.epoch), ("one", lead.epoch));
    assert_eq!(two.processes().expect("processes").len(), 2);
    // The first one falls silent; its lease is not renewed.
    let begun = Instant::now();
    let next = loop {
        if let Standing::Leads(next) = two.lead(&process("two")).expect("an answer") {
            break next;
        }
        assert!(begun.elapsed() < Duration::from_secs(25), "nobody takes over");
        std::thread::sleep(Duration::from_millis(200));
    };
    assert!(lead.believed_until.has_passed(), "the first one did not believe in itself any more");
    assert!(next.epoch > lead.epoch);
    let late = one.commit(&lead, &[put("a", "late", Expect::Any)]);
    assert!(matches!(late, Err(StoreError::NotLeading)), "{late:?}");
    let back = one.lead(&process("one")).expect("an answer");
    assert!(matches!(back, Standing::Follows(Some(ref leader)) if leader.process.name == "two"), "{back:?}");
}

#[test]
fn an_etcd_that_is_away_is_unavailable_and_nothing_is_believed() {
    let store = Etcd::new(&["http://127.0.0.1:1".to_owned()], "prod");
    assert!(matches!(store.lead(&process("one")), Err(StoreError::Unavailable(_))));
    assert!(matches!(store.snapshot(), Err(StoreError::Unavailable(_))));
}

#[test]
fn two_processes_of_one_name_are_two_and_the_second_is_refused() {
    let Some(server) = Server::start() else { return };
    let store = || Etcd::new(std::slice::from_ref(&server.url), "prod");
    let (one, two, again) = (store(), store(), store());
    assert!(matches!(one.lead(&process("one")), Ok(Standing::Leads(_))));
    let other = Process { addr: "127.0.0.1:8241".to_owned(), ..process("one") };
    let refused = two.lead(&other);
    assert!(matches!(&refused, Err(StoreError::InUse(why)) if why.contains("--name")), "{refused:?}");
    assert_eq!(one.processes().expect("processes"), [process("one")]);
    // Restarted at its own address it is itself, and leads when its former lease has ended.
    assert!(matches!(again.lead(&process("one")), Ok(Standing::Follows(Some(_)))));
}
