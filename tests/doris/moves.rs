//! What a move writes at its destination and deletes at its source, value by value.

use serde_json::Value;
use sha2::{Digest, Sha256};
use tabletd::doris::database::{Database, Strictness};
use tabletd::doris::keys::{Key, TabletIds, prefixes_of};
use tabletd::doris::moving::{NewPlace, Stale, batches};
use tabletd::doris::record::Tablet;
use tabletd::doris::uid::Uid;

use crate::databases::hex;
use crate::fixtures::{OnDisk, expected, root};

fn number(value: &Value) -> i64 {
    value.as_i64().expect("a number")
}

#[test]
fn every_move_writes_what_5_14_2_would_read() {
    let moves = expected("moves");
    let mut moved = 0;
    for (node, of_node) in moves.as_object().expect("nodes") {
        let from = of_node["from"].as_str().expect("a root");
        let meta = OnDisk(root(node, from).join("meta"));
        let database = Database::open(&meta, Strictness::Refuse).expect("opens");
        let tablets = expected(node)["roots"][from]["tablets"].clone();
        for (tablet_id, wanted) in of_node["tablets"].as_object().expect("tablets") {
            let tablet_id: i64 = tablet_id.parse().expect("a number");
            let known = tablets.as_array().expect("a list").iter().find(|row| row["tablet_id"] == tablet_id);
            let known = known.expect("is there");
            let schema_hash = i32::try_from(number(&known["schema_hash"])).expect("fits");
            let ids = TabletIds { tablet_id, schema_hash };
            let key = Key::tablet(ids).into_bytes();
            let record = database.get(&key).expect("readable").expect("is there");
            let uid = Tablet::read(&record).expect("reads").uid;
            let mut pairs = vec![(key, record)];
            for prefix in prefixes_of(ids, uid) {
                pairs.extend(database.with_prefix(&prefix).expect("readable"));
            }
            let to = NewPlace {
                shard: u32::try_from(number(&wanted["shard"])).expect("fits"),
                uid: Uid { hi: number(&wanted["uid_hi"]), lo: number(&wanted["uid_lo"]) },
                now: number(wanted.get("now").unwrap_or(&of_node["now"])),
                stale: if known["stale_rowsets"] == "dropped" { Stale::Drop } else { Stale::Keep },
            };
            let batches = batches(ids, &pairs, &to).expect("moves");
            let put: Vec<Value> = batches
                .put
                .iter()
                .map(|(key, value)| serde_json::json!([hex(key), value.len(), hex(&Sha256::digest(value))]))
                .collect();
            let delete: Vec<Value> = batches.delete.iter().map(|key| hex(key).into()).collect();
            assert_eq!(Value::from(put), wanted["put"], "{node} {tablet_id} ({})", known["made_as"]);
            assert_eq!(Value::from(delete), wanted["delete"], "{node} {tablet_id}");
            moved += 1;
        }
    }
    assert!(moved >= 40, "{moved}");
}
