//! Every verb in every status it can be asked in: what the table does not have is refused with what it has, in words and
//! for programs.

use serde_json::{Value, json};
use tabletd::model::{Status, Step, TabletKey};
use tabletd::rules::gate::{Gate, Verb, actions, next_steps, step_behind, taken_now, takes};

use crate::harness::{Daemon, Node};

fn submit(daemon: &Daemon, key: TabletKey, disk: &str, more: &Value) -> u64 {
    let mut body = json!({"tablet_id": key.tablet_id, "dest_disk": disk, "priority": "high"});
    body.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    let (status, answer) = daemon.send("/api/v1/migrations", &[], &body);
    assert_eq!(status, 201, "{answer:#}");
    answer["id"].as_u64().expect("a number")
}

/// Asks for a verb of one migration, through either of its two paths.
fn ask(daemon: &Daemon, at: &str, verb: Verb) -> (u16, Value) {
    let name = verb.name();
    match verb {
        Verb::Run(step) => daemon.send(&format!("{at}/run"), &[], &json!({ "step": step })),
        Verb::Extend => daemon.send(&format!("{at}/action"), &[], &json!({"extend": {"seconds": 60}})),
        Verb::SetLimits => {
            daemon.send(&format!("{at}/action"), &[], &json!({"limits": {"rate_bytes_per_sec": 5}}))
        }
        Verb::SetPriority => daemon.send(&format!("{at}/action"), &[], &json!({"priority": "low"})),
        _ => daemon.send(&format!("{at}/action"), &[], &json!({ name: null })),
    }
}

/// Asks everything of a migration that its status does not have.
fn refuses(daemon: &Daemon, id: u64, status: Status) {
    let migration = daemon.wait_for(id, &[status.as_str()]);
    let gate = match step_behind(status) {
        Some(_) => Gate::Waits,
        None => Gate::Passes,
    };
    assert_eq!(migration["next_steps"], json!(next_steps(status, gate)), "{migration:#}");
    assert_eq!(migration["actions"], json!(actions(status, gate)), "{migration:#}");
    let steps = [Step::Preflight, Step::Abort].map(Verb::Run);
    let not_taken = Verb::ALL.iter().chain(&steps).filter(|verb| !takes(status, gate, **verb));
    let mut asked = 0;
    for &verb in not_taken {
        let at = [
            format!("/api/v1/migrations/{id}"),
            format!("/api/v1/tablets/{}/migrations/{id}", migration["tablet_id"]),
        ];
        for at in at {
            let (answered, refusal) = ask(daemon, &at, verb);
            let code = if matches!(verb, Verb::Run(_)) { "STEP_NOT_ALLOWED" } else { "ILLEGAL_TRANSITION" };
            assert_eq!(
                (answered, &refusal["error_code"]),
                (409, &json!(code)),
                "{status} {verb:?}: {refusal}"
            );
            let text = refusal["error_msg"].as_str().expect("a text");
            assert!(text.ends_with(&format!("it takes: {}", taken_now(status, gate))), "{verb:?}: {text}");
            let details = json!({"status": status, "next_steps": next_steps(status, gate), "actions": actions(status, gate)});
            assert_eq!(refusal["details"], details, "{verb:?}");
        }
        asked += 1;
    }
    assert!(asked > 0, "{status} takes everything");
    assert_eq!(daemon.migration(id)["status"], status.as_str(), "a refusal changes nothing");
}

#[test]
fn what_a_status_does_not_take_is_refused_with_what_it_takes() {
    let mut node = Node::new(2);
    let mut keys = (1..=9).map(|id| node.add_tablet(0, id, &[2_000_000])).collect::<Vec<_>>().into_iter();
    let damaged = keys.next().expect("a tablet");
    std::fs::write(node.tablet_dir(0, damaged).join("02000000_0.dat"), [0; 2_000_000]).expect("a file");
    // Nothing but high priority starts now.
    let hour = |offset| (chrono::Timelike::hour(&chrono::Local::now()) + offset) % 24;
    node.settings = format!(
        "migration_window = {:02}:00-{:02}:00\nssd_read_slots = 9\nssd_write_slots = 9",
        hour(12),
        hour(13)
    );
    let to = node.disk(1);
    let daemon = node.start();
    let mut make = |more: Value| submit(&daemon, keys.next().expect("a tablet"), &to, &more);

    refuses(&daemon, make(json!({"priority": "normal"})), Status::Queued);
    let slow = make(json!({"rate_bytes_per_sec": 100}));
    refuses(&daemon, slow, Status::Copying);
    daemon.act(slow, &json!({"pause": null}));
    refuses(&daemon, slow, Status::Paused);
    daemon.delete(&format!("/api/v1/migrations/{slow}"));
    refuses(&daemon, slow, Status::Aborted);

    let stepwise = make(json!({"mode": "stepwise"}));
    for (status, step) in
        [(Status::PreflightPassed, "prepare"), (Status::Prepared, "data"), (Status::Ready, "finalize")]
    {
        refuses(&daemon, stepwise, status);
        let (answered, _) =
            daemon.send(&format!("/api/v1/migrations/{stepwise}/run"), &[], &json!({ "step": step }));
        assert_eq!(answered, 202);
    }
    refuses(&daemon, stepwise, Status::Completed);
    refuses(&daemon, submit(&daemon, damaged, &to, &json!({})), Status::Failed);
    daemon.post("/api/update_config?cutover_deadline_sec=1", &Value::Null);
    refuses(&daemon, make(json!({"mode": "manual_cutover"})), Status::Expired);
    let totals = daemon.get("/api/v1/status")["totals"].clone();
    let ended = ["completed", "failed", "aborted", "expired"].map(|name| totals[name].as_u64());
    assert_eq!(ended, [Some(1); 4], "{totals:#}");
    assert!(daemon.get_text("/metrics").contains("tabletd_migrations_expired_total 1\n"));
    daemon.stop();
    assert_eq!(node.try_start().map(Daemon::stop), Ok(()));
}
