//! kill -9, at random moments under load and at every named point of a migration. After each the daemon comes back and
//! finishes the work by itself.

use std::time::Duration;

use crate::harness::Node;

fn loaded_node(tablets: i64) -> Node {
    let mut node = Node::new(2);
    for id in 1..=tablets {
        match id % 10 {
            0 => node.add_tablet(0, id, &[600_000, 4097, 0]),
            5 => node.add_tablet(0, id, &[1000; 20]),
            _ => node.add_tablet(0, id, &[5000, 12_288]),
        };
    }
    node
}

#[test]
fn random_kills_during_a_drain_lose_nothing() {
    let node = loaded_node(120);
    // The moments come from the machine; the seed only spreads them.
    let mut moments = crate::harness::pseudo_random(20_261_121, 30).into_iter();
    let mut daemon = node.start();
    let mut accepted = Vec::new();
    for key in node.expected.keys() {
        accepted.push(daemon.accept(*key, &node.disk(1)));
        if accepted.len() % 12 == 0 {
            daemon.kill();
            daemon = node.start();
        }
    }
    for moment in moments.by_ref().take(20) {
        std::thread::sleep(Duration::from_millis(u64::from(moment) / 4));
        daemon.kill();
        daemon = node.start();
    }
    daemon.wait_until_idle();
    for id in accepted {
        assert_eq!(daemon.migration(id)["status"], "completed", "{:#}", daemon.migration(id));
    }
    daemon.stop();
    assert!(node.assert_whole().values().all(|root| *root == 1));
}

#[cfg(feature = "fault-injection")]
#[test]
fn a_kill_at_every_point_of_a_migration_is_settled_by_the_next_start() {
    for point in crate::harness::POINTS {
        for nth in [1, 3] {
            let mut node = loaded_node(5);
            node.env = vec![("TABLETD_FAIL_POINT", format!("{point}:{nth}=kill"))];
            let daemon = node.start();
            let keys: Vec<_> = node.expected.keys().copied().collect();
            let mut accepted = Vec::new();
            for key in &keys {
                let url = format!(
                    "/api/tablet_migration?goal=run&tablet_id={}&schema_hash=555&disk={}",
                    key.tablet_id,
                    node.disk(1)
                );
                // The daemon dies under one of these; what was acknowledged before is owed.
                match daemon.try_get(&url) {
                    Ok(answer) if answer["status"] == "Success" => accepted.push(*key),
                    _ => break,
                }
            }
            let status = daemon.wait();
            assert!(!status.success(), "{point}:{nth} was never reached");
            node.env.clear();
            let daemon = node.start();
            daemon.wait_until_idle();
            for key in &accepted {
                let answer = daemon.status(*key);
                assert_eq!(
                    answer["msg"], "migration task has finished successfully",
                    "{point}:{nth} {key} {answer}"
                );
            }
            daemon.stop();
            let found = node.assert_whole();
            assert!(accepted.iter().all(|key| found[key] == 1), "{point}:{nth}");
        }
    }
}
