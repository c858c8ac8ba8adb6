//! The store of many processes: etcd, by its JSON gateway over the HTTP client that is here anyway. Its gRPC client wants
//! `protoc` in every clone and three dozen crates more; what is asked of etcd here are five calls.
//!
//! The leader is who made the one key `leader`, under a lease. Its create revision is the fence: every write has it as a
//! condition, so that a former leader writes nothing however late it wakes up. A lease is believed for as long as it
//! lasts, counted from the *sending* of the last renewal that was answered. There are no watches: who follows asks
//! whether anything changed and reads it anew, so that nothing can be closed, compacted or silent. Reads are linearizable.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::clock::Moment;
use super::gateway::{Gateway, encoded, end_of, key_values, number};
use super::record::{
    Change, Changes, Expect, LEASE, Leader, Leadership, Process, Record, Snapshot, Standing, Store,
    StoreError, check_sizes,
};

/// etcd, below one prefix.
pub struct Etcd {
    gateway: Gateway,
    prefix: String,
    lease: Mutex<Option<Lease>>,
}

/// Who leads, as etcd has it.
struct Leading {
    /// With the create revision of its key, and the lease that it is under.
    leader: Option<(Leader, u64, String)>,
    /// The highest there was, and the revision that says so.
    epoch: u64,
    changed: u64,
}

/// What this process has in etcd.
#[derive(Debug, Clone)]
struct Lease {
    id: String,
    believed_until: Moment,
    /// The process is registered under it.
    registered: bool,
    /// Of the leadership it was won with: create revision and epoch.
    won: Option<(u64, u64)>,
}

impl Etcd {
    /// The store of the fleet `name` in the etcd with these client addresses.
    pub fn new(endpoints: &[String], name: &str) -> Self {
        let prefix = format!("/tabletfleet/{name}/");
        Self { gateway: Gateway::new(endpoints), prefix, lease: Mutex::default() }
    }

    fn lease(&self) -> MutexGuard<'_, Option<Lease>> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, name: &str) -> String {
        encoded(&format!("{}{name}", self.prefix))
    }

    fn record_key(&self, key: &str) -> String {
        self.key(&format!("record/{key}"))
    }

    /// Everything that begins so.
    fn below(&self, name: &str) -> Value {
        let from = format!("{}{name}", self.prefix);
        json!({ "key": encoded(&from), "range_end": end_of(&from) })
    }

    /// The lease renewed, or a new one.
    fn renewed(&self, before: Option<Lease>) -> Result<Lease, StoreError> {
        let sent = Moment::now();
        if let Some(lease) = before {
            let answer = self.gateway.ask("/v3/lease/keepalive", &json!({ "ID": lease.id }))?;
            if number(&answer["result"]["TTL"]) > 0 {
                return Ok(Lease { believed_until: sent.after(LEASE), ..lease });
            }
            tracing::warn!("etcd has no lease {} any more: what was held under it is gone", lease.id);
        }
        let sent = Moment::now();
        let answer = self.gateway.ask("/v3/lease/grant", &json!({ "TTL": LEASE.as_secs().to_string() }))?;
        let id = answer["ID"].as_str().ok_or_else(|| odd("a lease without a number"))?.to_owned();
        Ok(Lease { id, believed_until: sent.after(LEASE), registered: false, won: None })
    }

    fn register(&self, lease: &Lease, who: &Process) -> Result<(), StoreError> {
        let value = serde_json::to_string(who).expect("names serialise");
        let key = self.key(&format!("process/{}", who.name));
        let put = json!({ "key": key, "value": encoded(&value), "lease": lease.id });
        let txn = json!({
            "compare": [{ "key": key, "target": "CREATE", "result": "EQUAL", "create_revision": "0" }],
            "success": [{ "request_put": put }],
            "failure": [{ "request_range": { "key": key } }],
        });
        let answer = self.gateway.ask("/v3/kv/txn", &txn)?;
        if answer["succeeded"] == true {
            return Ok(());
        }
        let other = key_values(&answer["responses"][0]["response_range"]).into_iter().next();
        let other = other.and_then(|kept| serde_json::from_str::<Process>(&kept.value).ok());
        match other {
            // The same one, before it was restarted, or by a call whose answer was lost.
            Some(other) if other.addr == who.addr => self.gateway.ask("/v3/kv/put", &put).map(drop),
            Some(other) => Err(StoreError::InUse(format!(
                "a process called {} runs at {}; each needs a name of its own (--name). One that was killed is forgotten \
                 after {} s",
                who.name,
                other.addr,
                LEASE.as_secs()
            ))),
            None => Err(StoreError::Unavailable(format!("{} cannot be registered now", who.name))),
        }
    }

    fn look(&self) -> Result<Leading, StoreError> {
        let ask = |name: &str| json!({ "request_range": { "key": self.key(name) } });
        let both = json!({ "success": [ask("leader"), ask("epoch")] });
        let answer = self.gateway.ask("/v3/kv/txn", &both)?;
        let found = |at: usize| key_values(&answer["responses"][at]["response_range"]).into_iter().next();
        let leader = match found(0) {
            None => None,
            Some(kept) => {
                let leader =
                    serde_json::from_str(&kept.value).map_err(|_| odd("a leader that cannot be read"))?;
                Some((leader, kept.created, kept.lease))
            }
        };
        let (epoch, changed) = match found(1) {
            None => (0, 0),
            Some(kept) => (kept.value.parse().map_err(|_| odd("an epoch that is no number"))?, kept.changed),
        };
        Ok(Leading { leader, epoch, changed })
    }

    /// Takes the leadership if nobody has it. The create revision of the key, when it was won.
    fn win(&self, lease: &Lease, leader: &Leader, epoch_changed: u64) -> Result<Option<u64>, StoreError> {
        let value = serde_json::to_string(leader).expect("names serialise");
        let txn = json!({
            "compare": [
                { "key": self.key("leader"), "target": "CREATE", "result": "EQUAL", "create_revision": "0" },
                { "key": self.key("epoch"), "target": "MOD", "result": "EQUAL", "mod_revision": epoch_changed.to_string() },
            ],
            "success": [
                { "request_put": { "key": self.key("epoch"), "value": encoded(&leader.epoch.to_string()) } },
                { "request_put": { "key": self.key("leader"), "value": encoded(&value), "lease": lease.id } },
            ],
        });
        let answer = self.gateway.ask("/v3/kv/txn", &txn)?;
        Ok((answer["succeeded"] == true).then(|| number(&answer["header"]["revision"])))
    }
}

fn odd(what: &str) -> StoreError {
    StoreError::Unavailable(format!("etcd answers with {what}"))
}

impl Store for Etcd {
    fn kind(&self) -> &'static str {
        "etcd"
    }

    fn lead(&self, who: &Process) -> Result<Standing, StoreError> {
        let before = self.lease().clone();
        let mut lease = self.renewed(before)?;
        if !lease.registered {
            self.register(&lease, who)?;
            lease.registered = true;
        }
        *self.lease() = Some(lease.clone());
        let Leading { leader, epoch, changed } = self.look()?;
        let leads = |epoch, fence| Leadership { epoch, fence, believed_until: lease.believed_until };
        let standing = match (leader, lease.won) {
            (Some((_, created, _)), Some((fence, epoch))) if created == fence => {
                Standing::Leads(leads(epoch, fence))
            }
            // Won by a call whose answer was lost: nobody else can make a key under this lease.
            (Some((leader, created, under)), _) if under == lease.id => {
                lease.won = Some((created, leader.epoch));
                Standing::Leads(leads(leader.epoch, created))
            }
            (Some((leader, ..)), _) => {
                lease.won = None;
                Standing::Follows(Some(leader))
            }
            (None, _) => {
                let mine = Leader { process: who.clone(), epoch: epoch + 1 };
                lease.won = self.win(&lease, &mine, changed)?.map(|fence| (fence, mine.epoch));
                match lease.won {
                    Some((fence, epoch)) => Standing::Leads(leads(epoch, fence)),
                    None => Standing::Follows(None),
                }
            }
        };
        *self.lease() = Some(lease);
        Ok(standing)
    }

    fn resign(&self) -> Result<(), StoreError> {
        let Some(lease) = self.lease().take() else { return Ok(()) };
        // What is under it goes with it, the leadership too.
        self.gateway.ask("/v3/lease/revoke", &json!({ "ID": lease.id })).map(drop)
    }

    fn processes(&self) -> Result<Vec<Process>, StoreError> {
        let answer = self.gateway.ask("/v3/kv/range", &self.below("process/"))?;
        let read =
            |value: &str| serde_json::from_str(value).map_err(|_| odd("a process that cannot be read"));
        key_values(&answer).iter().map(|kept| read(&kept.value)).collect()
    }

    fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let answer = self.gateway.ask("/v3/kv/range", &self.below("record/"))?;
        let from = self.prefix.len() + "record/".len();
        let record = |kept: super::gateway::KeyValue| {
            let key = kept.key.get(from..).unwrap_or_default().to_owned();
            (key, Record { value: kept.value, revision: kept.changed })
        };
        let records = key_values(&answer).into_iter().map(record).collect();
        Ok(Snapshot { records, revision: number(&answer["header"]["revision"]) })
    }

    fn changes_after(&self, revision: u64, wait: Duration) -> Result<Changes, StoreError> {
        std::thread::sleep(wait);
        // Removed records are seen by the number that is left, so the revision alone is not asked.
        let answer =
            self.gateway.ask("/v3/kv/range", &json!({ "key": self.key("leader"), "count_only": true }))?;
        let now = number(&answer["header"]["revision"]);
        Ok(if now == revision { Changes::Some(Vec::new(), now) } else { Changes::Compacted })
    }

    fn commit(&self, leadership: &Leadership, changes: &[Change]) -> Result<u64, StoreError> {
        check_sizes(changes)?;
        let leader = self.key("leader");
        let fence = leadership.fence.to_string();
        let mut compare =
            vec![json!({ "key": leader, "target": "CREATE", "result": "EQUAL", "create_revision": fence })];
        let mut success = Vec::new();
        for change in changes {
            let key = self.record_key(&change.key);
            match change.expect {
                Expect::Any => {}
                Expect::Absent => compare.push(
                    json!({ "key": key, "target": "CREATE", "result": "EQUAL", "create_revision": "0" }),
                ),
                Expect::Revision(revision) => compare.push(
                    json!({ "key": key, "target": "MOD", "result": "EQUAL", "mod_revision": revision.to_string() }),
                ),
            }
            success.push(match &change.value {
                Some(value) => json!({ "request_put": { "key": key, "value": encoded(value) } }),
                None => json!({ "request_delete_range": { "key": key } }),
            });
        }
        let failure = [json!({ "request_range": { "key": leader } })];
        let txn = json!({ "compare": compare, "success": success, "failure": failure });
        let answer = self.gateway.write("/v3/kv/txn", &txn)?;
        if answer["succeeded"] == true {
            return Ok(number(&answer["header"]["revision"]));
        }
        let still = key_values(&answer["responses"][0]["response_range"]);
        if still.first().is_some_and(|kept| kept.created == leadership.fence) {
            let keys: Vec<_> = changes.iter().map(|change| change.key.as_str()).collect();
            return Err(StoreError::Conflict(keys.join(", ")));
        }
        Err(StoreError::NotLeading)
    }
}
