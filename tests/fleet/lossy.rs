//! An etcd that loses and delays, by seed: what was asked may not arrive, and what was done may not be heard of. Held against
//! what etcd has in the end, asked directly.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tabletd::store::{Change, Etcd, Expect, Leadership, Process, Standing, Store, StoreError};

use crate::store::Server;

/// A way to etcd that loses one of so many requests before, and one of so many after they are done; 0 loses none.
struct Lossy {
    url: String,
    one_of: Arc<AtomicU64>,
}

impl Lossy {
    fn before(server: &str, seed: u64, one_of: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (to, one_of) =
            (server.trim_start_matches("http://").to_owned(), Arc::new(AtomicU64::new(one_of)));
        let (loses, chance) = (Arc::clone(&one_of), Arc::new(AtomicU64::new(seed | 1)));
        // It lives as long as the test program; nobody counts on its end.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (to, loses, chance) = (to.clone(), Arc::clone(&loses), Arc::clone(&chance));
                std::thread::spawn(move || {
                    pass(stream, &to, || drawn(&chance, loses.load(Ordering::Relaxed)));
                });
            }
        });
        Self { url, one_of }
    }
}

/// Whether this one is lost.
fn drawn(chance: &AtomicU64, one_of: u64) -> bool {
    let mut next = chance.load(Ordering::Relaxed);
    next ^= next << 13;
    next ^= next >> 7;
    next ^= next << 17;
    chance.store(next, Ordering::Relaxed);
    one_of != 0 && next.is_multiple_of(one_of)
}

/// One request and its answer.
fn pass(mut from: TcpStream, to: &str, is_lost: impl Fn() -> bool) {
    let Some(request) = whole(&mut from) else { return };
    if is_lost() {
        return;
    }
    let Ok(mut etcd) = TcpStream::connect(to) else { return };
    let text = String::from_utf8_lossy(&request).into_owned();
    let asked = text.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    let mut answer = Vec::new();
    if etcd.write_all(asked.as_bytes()).and_then(|()| etcd.read_to_end(&mut answer)).is_err() || is_lost() {
        return;
    }
    let _ = from.write_all(&answer);
}

/// Head and body, by its length.
fn whole(from: &mut TcpStream) -> Option<Vec<u8>> {
    let (mut read, mut some) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&read);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                return Some(read);
            }
        }
        match from.read(&mut some) {
            Ok(0) | Err(_) => return None,
            Ok(count) => read.extend_from_slice(&some[..count]),
        }
    }
}

fn process(who: usize) -> Process {
    Process { name: format!("p{who}"), addr: format!("127.0.0.1:{}", 9000 + who), version: "0".to_owned() }
}

fn put(key: &str) -> Change {
    Change { key: key.to_owned(), value: Some("x".to_owned()), expect: Expect::Absent }
}

/// What two processes came to believe.
#[derive(Default)]
struct Told {
    acknowledged: Vec<String>,
    refused: Vec<String>,
    highest: u64,
    leads: [Option<Leadership>; 2],
}

impl Told {
    fn stand(&mut self, who: usize, store: &Etcd) {
        match store.lead(&process(who)) {
            Ok(Standing::Leads(lead)) => {
                let before = self.leads[who].replace(lead.clone()).map(|before| before.epoch);
                assert!(
                    before == Some(lead.epoch) || lead.epoch > self.highest,
                    "a leadership that was over is back"
                );
                self.highest = self.highest.max(lead.epoch);
            }
            Ok(Standing::Follows(_)) => {}
            Err(error) => assert!(!matches!(error, StoreError::NotLeading), "{error}"),
        }
    }

    /// With whatever it last believed, however old.
    fn write(&mut self, who: usize, store: &Etcd, key: String) {
        let Some(lead) = &self.leads[who] else { return };
        match store.commit(lead, &[put(&key)]) {
            Ok(_) => {
                assert_eq!(lead.epoch, self.highest, "a former leader wrote");
                self.acknowledged.push(key);
            }
            Err(StoreError::NotLeading) => self.refused.push(key),
            Err(StoreError::Unknown(_) | StoreError::Unavailable(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn whatever_is_lost_one_leads_and_what_was_acknowledged_is_there() {
    let Some(server) = Server::start() else { return };
    for seed in 1..=3_u64 {
        let fleet = format!("seed{seed}");
        let ways = [0, 1].map(|who| Lossy::before(&server.url, seed * 7919 + who, 4));
        let stores = ways.each_ref().map(|way| Etcd::new(std::slice::from_ref(&way.url), &fleet));
        let mut told = Told::default();
        for turn in 0..80 {
            let who = turn % 2;
            told.stand(who, &stores[who]);
            for who in [0, 1] {
                told.write(who, &stores[who], format!("{turn}-{who}"));
            }
            if turn % 11 == 10 {
                // Its answer may be lost too.
                let _ = stores[who].resign();
            }
        }
        ways.iter().for_each(|way| way.one_of.store(0, Ordering::Relaxed));
        let found =
            Etcd::new(std::slice::from_ref(&server.url), &fleet).snapshot().expect("a snapshot").records;
        assert!(!told.acknowledged.is_empty(), "seed {seed}: nothing was ever written");
        for key in &told.acknowledged {
            assert!(found.contains_key(key), "seed {seed}: {key} was acknowledged and is not there");
        }
        for key in &told.refused {
            assert!(!found.contains_key(key), "seed {seed}: {key} was refused and is there");
        }
        // Neither a leader for ever that does not lead, nor followers for ever of nobody.
        let since = Instant::now();
        loop {
            for who in [0, 1] {
                told.stand(who, &stores[who]);
            }
            let before = told.acknowledged.len();
            for who in [0, 1] {
                told.write(who, &stores[who], format!("end-{who}-{}", since.elapsed().as_millis()));
            }
            if told.acknowledged.len() > before {
                break;
            }
            assert!(since.elapsed() < Duration::from_secs(25), "seed {seed}: nobody leads");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

#[test]
fn an_etcd_that_takes_calls_and_never_answers_stops_nobody() {
    let Some(server) = Server::start() else { return };
    // Connections are taken by the system, and nobody reads them.
    let hung = TcpListener::bind("127.0.0.1:0").expect("a port");
    let hung_url = format!("http://{}", hung.local_addr().expect("an address"));
    let store = Etcd::new(&[hung_url, server.url.clone()], "prod");
    let since = Instant::now();
    loop {
        if let Ok(Standing::Leads(lead)) = store.lead(&process(0))
            && store.commit(&lead, &[put("a")]).is_ok()
        {
            break;
        }
        assert!(since.elapsed() < Duration::from_secs(25), "the second etcd is there and nobody leads");
    }
}
