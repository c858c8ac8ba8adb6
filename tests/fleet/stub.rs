//! A plain Doris BE for tests: in memory, in the words of a release, with faults by script. It writes down what it was asked.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// What happens to the next `goal=run`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// Taken, and it then fails as a load that is in the way does.
    Later,
    /// The connection ends before it was heard.
    NotHeard,
    /// It is taken, and the connection ends before the answer.
    NotAnswered,
    /// An answer of no release.
    Nonsense,
    /// Taken; the BE then restarts and knows nothing of it.
    Restart,
    /// The destination is full.
    Full,
    /// The frontend has dropped the tablet.
    Dropped,
}

#[derive(Debug, Clone)]
pub(crate) struct Tablet {
    pub(crate) id: i64,
    pub(crate) disk: String,
}

struct Running {
    disk: String,
    until: Instant,
    fails: bool,
}

pub(crate) struct Inside {
    /// `None` has no `/api/be_version_info`, as up to 1.1.
    pub(crate) release: Option<(u32, u32, u32)>,
    /// It answers as tabletd does.
    pub(crate) is_tabletd: bool,
    /// It takes no credential any more.
    pub(crate) is_shut: bool,
    pub(crate) tablets: Vec<Tablet>,
    pub(crate) faults: VecDeque<Fault>,
    pub(crate) move_takes: Duration,
    running: BTreeMap<i64, Running>,
    ended: BTreeMap<i64, String>,
    /// Moves that it took: tablet, destination, from when and until when.
    pub(crate) taken: Vec<(i64, String, Instant, Instant)>,
    /// The most that it had at once.
    pub(crate) most_at_once: usize,
}

/// A running one.
pub(crate) struct Stub {
    pub(crate) port: u16,
    inside: Arc<Mutex<Inside>>,
    stopping: Arc<AtomicBool>,
}

const HASH: i64 = 368_169_781;
const DISKS: [(&str, u64); 3] = [("/d1", 60), ("/d2", 90), ("/d3", 80)];
const GIB: u64 = 1 << 30;

impl Stub {
    /// Of this release, with these tablets on its first disk.
    pub(crate) fn start(release: Option<(u32, u32, u32)>, tablets: impl IntoIterator<Item = i64>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let tablets = tablets.into_iter().map(|id| Tablet { id, disk: "/d1".to_owned() }).collect();
        let inside = Inside {
            release,
            is_tabletd: false,
            is_shut: false,
            tablets,
            faults: VecDeque::new(),
            move_takes: Duration::from_millis(300),
            running: BTreeMap::new(),
            ended: BTreeMap::new(),
            taken: Vec::new(),
            most_at_once: 0,
        };
        let inside = Arc::new(Mutex::new(inside));
        let stopping = Arc::new(AtomicBool::new(false));
        let (shared, ends) = (Arc::clone(&inside), Arc::clone(&stopping));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { port, inside, stopping }
    }

    pub(crate) fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().expect("no panic inside")
    }

    pub(crate) fn count_on(&self, disk: &str) -> usize {
        self.inside().tablets.iter().filter(|tablet| tablet.disk == disk).count()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

fn serve(mut stream: TcpStream, inside: &Mutex<Inside>) {
    let mut head = Vec::new();
    let mut some = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut some) {
            Ok(0) | Err(_) => return,
            Ok(read) => head.extend_from_slice(&some[..read]),
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let target = head.split(' ').nth(1).unwrap_or("/").to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let query: BTreeMap<_, _> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let query = |name: &str| query.get(name).map(|text| decoded(text)).unwrap_or_default();
    let answer = inside.lock().expect("no panic inside").answer(path, &query);
    if let Some((status, body)) = answer {
        let length = body.len();
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        let _ = stream.write_all((head + &body).as_bytes());
    }
}

fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut read = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let byte = u8::from_str_radix(&part[..2], 16).expect("two digits");
        read.push(char::from(byte));
        read.push_str(&part[2..]);
    }
    read
}

impl Inside {
    fn is_up_to(&self, release: (u32, u32, u32)) -> bool {
        self.release.is_none_or(|own| own <= release)
    }

    fn status(&self, name: &str, text: &str) -> String {
        let name = if self.release.is_none() { "Fail" } else { name };
        json!({ "status": name, "msg": text }).to_string()
    }

    /// `None` ends the connection without one.
    fn answer(&mut self, path: &str, query: &dyn Fn(&str) -> String) -> Option<(u16, String)> {
        self.settle();
        if self.is_shut && path.starts_with("/api/tablet") {
            return Some((401, "Unauthorized".to_owned()));
        }
        let body = match path {
            "/api/v1/status" if self.is_tabletd => return Some((200, "{\"version\":\"0.2.0\"}".to_owned())),
            "/api/be_version_info" => {
                let Some((major, minor, patch)) = self.release else {
                    return Some((404, "Not Found".to_owned()));
                };
                let info = json!({ "dorisBuildVersionPrefix": "doris", "dorisBuildVersionMajor": major,
                    "dorisBuildVersionMinor": minor, "dorisBuildVersionPatch": patch });
                json!({ "msg": "success", "code": 0, "data": { "beVersionInfo": info }, "count": 0 })
                    .to_string()
            }
            "/metrics" => DISKS.map(|(path, avail)| figures(path, avail * GIB)).concat(),
            "/api/show_config" => match query("conf_item").as_str() {
                "storage_root_path" => {
                    json!([["storage_root_path", "string", "/d1;/d2,medium:HDD;/d3", "false"]]).to_string()
                }
                "max_tablet_migration_threads" => {
                    json!([["max_tablet_migration_threads", "int32_t", "2", "false"]]).to_string()
                }
                _ => "[]".to_owned(),
            },
            "/api/tablets_distribution" => self.distribution(&query("partition_id")),
            "/api/tablet_migration" => {
                let id = query("tablet_id").parse().expect("a number");
                assert_eq!(query("schema_hash"), HASH.to_string(), "asked with the tablet's own hash");
                match query("goal").as_str() {
                    "run" => return self.run(id, &query("disk")).map(|body| (200, body)),
                    _ => self.said_of(id),
                }
            }
            header if header.starts_with("/api/meta/header/") => {
                let id = header.rsplit('/').next().and_then(|id| id.parse::<i64>().ok());
                if !self.tablets.iter().any(|tablet| Some(tablet.id) == id) {
                    return Some((500, self.status("NOT_FOUND", "can't find tablet")));
                }
                json!({ "tablet_state": "PB_RUNNING", "schema_hash": HASH }).to_string()
            }
            _ => return Some((404, "Not Found".to_owned())),
        };
        Some((200, body))
    }

    fn settle(&mut self) {
        let now = Instant::now();
        let ended: Vec<_> =
            self.running.iter().filter(|(_, running)| running.until <= now).map(|(id, _)| *id).collect();
        for id in ended {
            let Running { disk, fails, .. } = self.running.remove(&id).expect("it runs");
            let said = if fails {
                self.status("INTERNAL_ERROR", "could not own migration_wlock")
            } else {
                let of = self.tablets.iter_mut().filter(|tablet| tablet.id == id);
                of.for_each(|tablet| tablet.disk.clone_from(&disk));
                json!({ "status": "Success", "msg": "migration task has finished successfully", "dest_disk": disk })
                    .to_string()
            };
            self.ended.insert(id, said);
        }
    }

    fn said_of(&self, id: i64) -> String {
        match (self.running.get(&id), self.ended.get(&id)) {
            (Some(running), _) => {
                let disk = &running.disk;
                json!({ "status": "Success", "msg": "migration task is running", "dest_disk": disk })
                    .to_string()
            }
            (None, Some(said)) => said.clone(),
            (None, None) => self.status("NOT_FOUND", "Migration task not found"),
        }
    }

    fn run(&mut self, id: i64, disk: &str) -> Option<String> {
        let at = self.tablets.iter().find(|tablet| tablet.id == id).map(|tablet| tablet.disk.clone());
        if let Some(running) = self.running.get(&id) {
            let text = format!(
                "There is a migration task for this tablet already exists. dest_disk is {} .",
                running.disk
            );
            return Some(self.status("ALREADY_EXIST", &text));
        }
        if at.as_deref() == Some(disk) {
            return Some(self.status("ALREADY_EXIST", "Tablet already exist in destination disk"));
        }
        if at.is_none() {
            return Some(self.status("NOT_FOUND", "Tablet not found"));
        }
        let fault = self.faults.pop_front();
        match fault {
            Some(Fault::NotHeard) => return None,
            Some(Fault::Nonsense) => return Some("<html>later</html>".to_owned()),
            Some(Fault::Full) => {
                let text = format!("reach the capacity limit of path {disk}, tablet_size=1");
                return Some(self.status("E-217", &text));
            }
            Some(Fault::Dropped) => {
                self.tablets.retain(|tablet| tablet.id != id);
                return Some(self.status("NOT_FOUND", "Tablet not found"));
            }
            _ => {}
        }
        let now = Instant::now();
        let until = now + self.move_takes;
        let fails = matches!(fault, Some(Fault::Later));
        self.taken.push((id, disk.to_owned(), now, until));
        if matches!(fault, Some(Fault::Restart)) {
            self.running.clear();
            self.ended.clear();
        } else {
            self.running.insert(id, Running { disk: disk.to_owned(), until, fails });
        }
        self.most_at_once = self.most_at_once.max(self.running.len());
        let accepted =
            json!({ "status": "Success", "msg": "migration task is successfully submitted." }).to_string();
        (!matches!(fault, Some(Fault::NotAnswered))).then_some(accepted)
    }

    /// Partition of a tablet: its number by two.
    fn distribution(&self, partition: &str) -> String {
        let mut parts: BTreeMap<i64, BTreeMap<&str, Vec<i64>>> = BTreeMap::new();
        for tablet in &self.tablets {
            let disks = parts.entry(tablet.id % 2 + 100).or_default();
            disks.entry(&tablet.disk).or_default().push(tablet.id);
        }
        let has_hash = self.is_up_to((2, 0, 99));
        let sized = |id: &i64| match has_hash {
            true => json!({ "tablet_id": id, "tablet_size": GIB, "schema_hash": HASH }),
            false => json!({ "tablet_id": id, "tablet_size": GIB }),
        };
        let disks = |disks: BTreeMap<&str, Vec<i64>>| -> Vec<Value> {
            let one = |(path, ids): (&str, Vec<i64>)| {
                let mut disk = json!({ "disk_path": path, "tablets_num": ids.len() });
                if !partition.is_empty() {
                    disk["tablets"] = ids.iter().map(sized).collect();
                }
                disk
            };
            disks.into_iter().map(one).collect()
        };
        let wanted = parts.into_iter().filter(|(id, _)| partition.is_empty() || id.to_string() == partition);
        let list: Vec<_> = wanted.map(|(id, of)| json!({ "partition_id": id, "disks": disks(of) })).collect();
        json!({ "msg": "OK", "code": 0, "data": { "host": "h", "tablets_distribution": list }, "count": 0 })
            .to_string()
    }
}

fn figures(path: &str, avail: u64) -> String {
    format!(
        "# TYPE doris_be_disks_total_capacity gauge\ndoris_be_disks_total_capacity{{path=\"{path}\"}} {}\n\
         doris_be_disks_avail_capacity{{path=\"{path}\"}} {avail}\ndoris_be_disks_state{{path=\"{path}\"}} 1\n",
        100 * GIB
    )
}
