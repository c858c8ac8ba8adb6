//! Plain BEs as members, in the words of several releases, with answers that come late, wrong or not at all.

use std::time::Duration;

use serde_json::{Value, json};

use crate::campaigns::{act, finishes, make, part, status};
use crate::process::{Fleet, Process};
use crate::stub::{Fault, Stub};

fn add(process: &Process, name: &str, stub: &Stub, more: &Value) {
    let mut asked = json!({ "source_name": name, "host": "127.0.0.1", "port": stub.port, "kind": "be", "cluster": "prod" });
    for (key, value) in more.as_object().into_iter().flatten() {
        asked[key] = value.clone();
    }
    process.done("POST", "/api/v1/sources", &asked);
    process.becomes("a look at it", |process| process.stage(name) != "unknown");
}

fn drain(policy: &Value) -> Value {
    json!({ "request": { "kind": "drain", "disks": ["/d1"] }, "policy": policy })
}

#[test]
fn two_bes_are_drained_whatever_they_answer_and_copies_of_a_tablet_never_move_together() {
    let process = Fleet::new().start();
    // One speaks as 2.0, with hashes in its lists, the other as 3.0 without; both have copies of the same tablets.
    let stubs = [Stub::start(Some((2, 0, 15)), 1..=6), Stub::start(Some((3, 0, 2)), 1..=6)];
    stubs[0].inside().faults.extend([Fault::NotHeard, Fault::Later, Fault::NotAnswered]);
    stubs[1].inside().faults.extend([Fault::Nonsense, Fault::Restart, Fault::NotAnswered]);
    add(&process, "be-1", &stubs[0], &json!({}));
    add(&process, "be-2", &stubs[1], &json!({}));
    let (id, shown) = make(&process, &drain(&json!({ "max_members": 2 })));
    assert_eq!(shown["moves_total"], 12, "{shown:#}");
    act(&process, id, "start");
    let done = finishes(&process, id);
    assert_eq!((&done["parts_done"], &done["moves_completed"]), (&json!(2), &json!(12)), "{done:#}");
    for stub in &stubs {
        assert_eq!((stub.count_on("/d1"), stub.inside().tablets.len()), (0, 6));
        assert!(stub.inside().most_at_once <= 2, "as many as the BE has threads");
    }
    let [one, two] = stubs.each_ref().map(|stub| stub.inside().taken.clone());
    for (tablet, _, from, until) in &one {
        for (other, _, other_from, other_until) in &two {
            let apart = until <= other_from || other_until <= from;
            assert!(tablet != other || apart, "both copies of tablet {tablet} moved at once");
        }
    }
}

#[test]
fn killed_in_the_middle_the_rest_is_found_where_the_tablets_are() {
    let fleet = Fleet::new();
    let mut process = fleet.start();
    let stub = Stub::start(Some((2, 1, 7)), 1..=8);
    add(&process, "be-1", &stub, &json!({}));
    let (id, _) = make(&process, &drain(&json!({})));
    act(&process, id, "start");
    for moved in [1, 3, 5] {
        process.becomes("some have moved", |_| stub.count_on("/d1") <= 8 - moved);
        process.daemon.kill();
        process = fleet.start();
    }
    let done = finishes(&process, id);
    assert_eq!((&done["parts_done"], &done["moves_completed"]), (&json!(1), &json!(8)), "{done:#}");
    assert_eq!(stub.count_on("/d1"), 0);
    let mut taken: Vec<_> = stub.inside().taken.iter().map(|(tablet, ..)| *tablet).collect();
    taken.sort_unstable();
    assert_eq!(taken, (1..=8).collect::<Vec<_>>(), "each was moved once");
}

#[test]
fn a_full_disk_stops_the_member_and_a_dropped_tablet_is_left_out() {
    let process = Fleet::new().start();
    let stub = Stub::start(Some((4, 0, 1)), 1..=6);
    stub.inside().faults.extend([Fault::Dropped, Fault::Full]);
    add(&process, "be-1", &stub, &json!({}));
    let (id, _) = make(&process, &drain(&json!({})));
    act(&process, id, "start");
    process.becomes("its part fails", |process| part(process, id, "be-1")["status"] == "failed");
    let failed = part(&process, id, "be-1");
    assert!(failed["status_reason"].as_str().is_some_and(|why| why.contains("capacity limit")), "{failed:#}");
    assert!(stub.inside().taken.len() < 4, "nothing further is asked: {:?}", stub.inside().taken);
    assert!(stub.inside().tablets.len() == 5);
}

#[test]
fn a_pause_asks_nothing_further_and_what_was_cancelled_never_goes_on() {
    let process = Fleet::new().start();
    let stub = Stub::start(Some((3, 1, 0)), 1..=20);
    stub.inside().move_takes = Duration::from_millis(1500);
    add(&process, "be-1", &stub, &json!({}));
    let (id, _) = make(&process, &drain(&json!({})));
    act(&process, id, "start");
    process.becomes("the first", |_| !stub.inside().taken.is_empty());
    act(&process, id, "pause");
    process.becomes("the pause is felt", |process| part(process, id, "be-1")["status_reason"] != "");
    process.becomes("what was asked has ended", |_| {
        let taken = stub.inside().taken.len();
        20 - stub.count_on("/d1") == taken
    });
    let taken = stub.inside().taken.len();
    assert!(taken < 20);
    act(&process, id, "resume");
    process.becomes("it goes on", |_| stub.inside().taken.len() > taken);
    act(&process, id, "cancel");
    process.becomes("it is called off", |process| part(process, id, "be-1")["status"] == "cancelled");
    let taken = stub.inside().taken.len();
    assert!(taken < 20 && 20 - stub.count_on("/d1") == taken, "what was asked has ended");
}

#[test]
fn releases_that_crash_want_an_explicit_yes_and_what_is_no_be_any_more_is_not_asked() {
    let process = Fleet::new().start();
    let old = Stub::start(Some((2, 1, 3)), 1..=2);
    let unknown = Stub::start(None, 3..=4);
    let changes = Stub::start(Some((3, 0, 5)), 5..=20);
    add(&process, "be-1", &old, &json!({}));
    add(&process, "be-2", &unknown, &json!({}));
    add(&process, "be-3", &changes, &json!({}));
    let shown = process.done("POST", "/api/v1/campaigns", &drain(&json!({ "order": "as_listed" })));
    let reason =
        |shown: &Value, at: usize| shown["status_list"][at]["status_reason"].as_str().map(str::to_owned);
    assert!(reason(&shown, 0).is_some_and(|why| why.contains("#36809")), "{shown:#}");
    assert!(reason(&shown, 1).is_some_and(|why| why.contains("not known")), "{shown:#}");
    assert_eq!(shown["status_list"][2]["approved"]["moves"], 16);
    assert!(old.inside().taken.is_empty() && unknown.inside().taken.is_empty());
    // With the yes it is planned.
    let mut yes = process.get("/api/v1/sources/be-2");
    for key in ["status_list", "task_name_list", "password", "user", "credential", "dialect"] {
        yes.as_object_mut().expect("an object").remove(key);
    }
    yes["accept_known_defects"] = json!(true);
    process.done("PUT", "/api/v1/sources/be-2", &json!({ "source": yes }));
    let mut only = drain(&json!({}));
    only["select"] = json!({ "sources": ["be-2"] });
    let (id, shown) = make(&process, &only);
    assert_eq!(shown["status_list"][0]["approved"]["moves"], 2);
    act(&process, id, "start");
    finishes(&process, id);
    assert_eq!(unknown.count_on("/d1"), 0, "in the words of 1.1");

    // In mid-campaign its port is taken by tabletd.
    let mut only = drain(&json!({}));
    only["select"] = json!({ "sources": ["be-3"] });
    let (id, _) = make(&process, &only);
    act(&process, id, "start");
    process.becomes("it moves", |_| !changes.inside().taken.is_empty());
    changes.inside().is_tabletd = true;
    process.becomes("its part fails", |process| part(process, id, "be-3")["status"] == "failed");
    let failed = part(&process, id, "be-3");
    assert!(
        failed["status_reason"].as_str().is_some_and(|why| why.contains("answers as tabletd")),
        "{failed:#}"
    );
}

#[test]
fn a_credential_that_is_revoked_in_the_middle_fails_the_part_and_is_not_tried_for_ever() {
    let process = Fleet::new().start();
    let stub = Stub::start(Some((3, 0, 8)), 1..=20);
    add(&process, "be-1", &stub, &json!({}));
    let (id, _) = make(&process, &drain(&json!({})));
    act(&process, id, "start");
    process.becomes("it moves", |_| !stub.inside().taken.is_empty());
    stub.inside().is_shut = true;
    process.becomes("its part fails", |process| part(process, id, "be-1")["status"] == "failed");
    let failed = part(&process, id, "be-1");
    assert!(failed["status_reason"].as_str().is_some_and(|why| why.contains("401")), "{failed:#}");
    process.becomes("nothing is left of it", |process| status(process, id) == "finished");
}
