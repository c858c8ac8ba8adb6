//! HTTP under attack while a migration runs: what is malformed, endless, huge or simply too much.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tabletd::storage::ReadFrom;

use super::rig::Rig;
use crate::mounts::FsKind;
use crate::rng::Rng;
use crate::scenario::{Bench, Need, Scale, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "hostile requests while a migration runs",
    needs: &[Need::Root, Need::Fuse, Need::Fs(FsKind::Ext4)],
    run: attack,
}];

const THREADS: u64 = 4;
/// Connections that send a byte now and then and never finish.
const SLOW_CONNECTIONS: usize = 400;
/// What an attack may make the daemon keep in memory.
const MEMORY_MIB_MAX: u64 = 512;

fn attack(bench: &mut Bench<'_>) -> io::Result<()> {
    let wanted: u64 = if bench.scale == Scale::Short { 20_000 } else { 1_000_000 };
    let mut rig = Rig::new(bench, FsKind::Ext4)?;
    let key = rig.node.add_tablet(0, 1, &[4_000_000, 5000, 12_288]);
    // Slow enough to be under way for most of a short attack.
    rig.set("disk_rate_limit_bytes_per_sec = 1000000");
    let mut daemon = rig.node.try_start().map_err(io::Error::other)?;
    let address: SocketAddr = daemon
        .url("")
        .trim_start_matches("http://")
        .parse()
        .map_err(|error| io::Error::other(format!("{}: {error}", daemon.url(""))))?;
    let id = daemon.try_accept(key, &rig.node.disk(1)).map_err(io::Error::other)?;

    let slow: Vec<_> = (0..SLOW_CONNECTIONS)
        .filter_map(|_| {
            let mut stream = TcpStream::connect(address).ok()?;
            stream.write_all(b"GET /api/health HTTP/1.1\r\nHost: x\r\nX-Slow: ").ok()?;
            Some(stream)
        })
        .collect();
    let (sent, answered) = (AtomicU64::new(0), AtomicU64::new(0));
    let begun = Instant::now();
    let mut slowest = Duration::ZERO;
    let mut deaf = None;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let mut rng = Rng::named(bench.seed, &format!("{} {thread}", bench.name));
            let (sent, answered) = (&sent, &answered);
            scope.spawn(move || {
                while sent.fetch_add(1, Ordering::Relaxed) < wanted {
                    if hostile_request(&mut rng, address) {
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        // An honest client in between.
        while sent.load(Ordering::Relaxed) < wanted {
            let asked = Instant::now();
            if let Err(why) = daemon.try_get("/api/health") {
                deaf.get_or_insert(why);
            }
            slowest = slowest.max(asked.elapsed());
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let seconds = begun.elapsed().as_secs_f64();
    drop(slow);
    for _ in 1..wanted {
        bench.board.held(bench.name);
    }
    bench.board.figure(bench.name, "per second", wanted as f64 / seconds);
    bench.board.figure(bench.name, "with an answer", answered.load(Ordering::Relaxed) as f64);
    bench.board.figure(bench.name, "ms for the slowest honest answer", slowest.as_secs_f64() * 1000.0);
    let alive = daemon.is_running();
    bench.expect(alive, "the daemon ended")?;
    bench.expect(deaf.is_none(), &format!("an honest client was not answered: {deaf:?}"))?;
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid()))?;
    let memory =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
    let memory_mib = memory.unwrap_or(u64::MAX) / 1024;
    bench.board.figure(bench.name, "MiB at the most", memory_mib as f64);
    bench.expect(memory_mib <= MEMORY_MIB_MAX, &format!("{memory_mib} MiB of memory"))?;
    let idle = daemon.try_wait_until_idle(super::PATIENCE);
    bench.count(idle, |_| Ok(()))?;
    let migration = daemon.get(&format!("/api/v1/migrations/{id}"));
    bench.expect(migration["status"] == "completed", &format!("the migration was harmed: {migration:#}"))?;
    let others = daemon.get("/api/v1/migrations")["total"] == 1;
    bench.expect(others, "a hostile request became a migration")?;
    let panicked = daemon.said().contains("panicked");
    bench.expect(!panicked, "a request made a thread panic")?;
    daemon.stop();
    bench.count(rig.node.examine(ReadFrom::Cache).map(drop), |_| Ok(()))
}

/// Sends one request on a fresh connection. Whether anything came back.
fn hostile_request(rng: &mut Rng, address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(2)) else { return false };
    let patience = Duration::from_millis(if rng.below(50) == 0 { 200 } else { 20 });
    let _ = stream.set_read_timeout(Some(patience));
    let _ = stream.set_write_timeout(Some(Duration::from_millis(200)));
    if stream.write_all(&payload(rng)).is_err() {
        return false;
    }
    if rng.below(4) == 0 {
        // Hangs up without listening.
        return false;
    }
    let mut answer = [0; 512];
    stream.read(&mut answer).is_ok_and(|len| len > 0)
}

const PATHS: [&str; 12] = [
    "/api/tablet_migration",
    "/api/v1/migrations",
    "/api/v1/migrations/1",
    "/api/v1/tablets/1",
    "/api/v1/disks",
    "/api/v1/trash",
    "/api/restore_tablet",
    "/api/show_config",
    "/api/meta/header/1",
    "/api/calc_crc",
    "/tablets_json",
    "/metrics",
];
const NAMES: [&str; 8] =
    ["goal", "tablet_id", "schema_hash", "disk", "limit", "status", "pretty", "envelope"];
const VALUES: [&str; 10] = [
    "status",
    "-1",
    "99999999999999999999",
    "%00",
    "%ff%fe",
    "../../../etc/passwd",
    "",
    "1e9",
    "'\"><",
    "\u{202e}",
];

fn pick(rng: &mut Rng, list: &[&'static str]) -> &'static str {
    list[upto(rng, list.len())]
}

fn upto(rng: &mut Rng, bound: usize) -> usize {
    usize::try_from(rng.below(bound as u64)).expect("below a usize")
}

/// A request that no honest client sends.
fn payload(rng: &mut Rng) -> Vec<u8> {
    const TO_CREATE: &str =
        "POST /api/v1/migrations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    let path = pick(rng, &PATHS);
    let text = match rng.below(10) {
        0 => {
            let len = upto(rng, 2000);
            return rng.bytes(len);
        }
        1 => format!("GET {path} HTTP/9.9\r\n\r\n"),
        2 => format!("{} {path} HTTP/1.1\r\nHost: x\r\n\r\n", "Q".repeat(1 + upto(rng, 3000))),
        3 => format!("GET {path} HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(100_000)),
        4 => {
            let headers: String = (0..300).map(|n| format!("X-{n}: {n}\r\n")).collect();
            format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n")
        }
        5 => format!("{TO_CREATE}Content-Length: 99999999999\r\n\r\n{{"),
        6 => {
            let body = format!("{}{{\"tablet_id\":", "[".repeat(20_000));
            format!("{TO_CREATE}Content-Length: {}\r\n\r\n{body}", body.len())
        }
        7 => {
            format!("{TO_CREATE}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nfffffffffffffffff\r\n")
        }
        8 => format!("GET {path}/{} HTTP/1.1\r\nHost: x\r\n\r\n", "%2e%2e/".repeat(upto(rng, 500))),
        _ => {
            let parameters = rng.below(12);
            let query: Vec<_> =
                (0..parameters).map(|_| format!("{}={}", pick(rng, &NAMES), pick(rng, &VALUES))).collect();
            format!("GET {path}?{} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", query.join("&"))
        }
    };
    text.into_bytes()
}
