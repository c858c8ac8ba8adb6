//! What a move writes at its destination and deletes at its source, value by value.

use serde_json::Value;
use sha2::{Digest, Sha256};
use tabletd::doris::database::{Database, Strictness};
use tabletd::doris::moving::{NewPlace, Stale, batches};
use tabletd::doris::record::{Rowset, RowsetState};
use tabletd::doris::uid::Uid;

use crate::databases::hex;
use crate::fixtures::{OnDisk, expected, pairs_of, root};
use crate::one_shot::{Node, content, ids_of, said, written};

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
            let (ids, pairs) = pairs_of(&database, known);
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

#[test]
fn loads_that_are_not_published_move_only_where_it_is_said() {
    let node = Node::new("killed", &["hdd1", "hdd2"]);
    let (source, mut wanted) = (node.database(0), content(&node.database(1)));
    let all = expected("killed")["roots"]["hdd1"]["tablets"].as_array().expect("a list").clone();
    let only = serde_json::json!(["committed-rowsets"]);
    let tablets: Vec<Value> = all.into_iter().filter(|tablet| tablet["reasons"] == only).collect();
    assert!(!tablets.is_empty());
    let args = node.move_args(&tablets, 1);
    let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
    let output = node.run(&args);
    assert!(
        output.status.code() == Some(4) && said(&output).contains("committed-rowsets"),
        "{}",
        said(&output)
    );
    args.push("--with-committed");
    let output = node.run(&args);
    assert!(output.status.success(), "{}", said(&output));
    let rows = node.rows();
    for tablet in &tablets {
        let ids = ids_of(tablet);
        wanted.extend(written(&rows[&ids.tablet_id], &source, tablet).put);
        let found = node.found(1, ids).expect("is there");
        let is_open = |rowset: &Rowset| rowset.state == RowsetState::Committed;
        assert!(found.fresh.iter().any(is_open), "{}", tablet["made_as"]);
    }
    assert!(content(&node.database(1)) == wanted, "the destination");
}
