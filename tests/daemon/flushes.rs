//! How many cache flushes small tablets cost. How many barriers there are is a matter of the protocol and exact; how many
//! share one flush is the more the longer a flush takes, so that the bound holds where it takes no time at all.

use crate::harness::Node;

const TABLETS: i64 = 250;
/// Each migration passes four barriers: its data and record, its place, its commit; and its source's retirement.
const BARRIERS_EACH: f64 = 4.0;
/// Flushes per 1,000 tablets when each serves two barriers.
const SHARED_BY_TWO: f64 = 1000.0 * BARRIERS_EACH / 2.0;

#[test]
fn small_tablets_pass_four_barriers_each_and_share_their_flushes() {
    let mut node = Node::new(2);
    // So slow that nothing ends before everything is queued.
    node.settings = "disk_rate_limit_bytes_per_sec = 1".into();
    let keys: Vec<_> = (1..=TABLETS).map(|id| node.add_tablet(0, id, &[4096])).collect();
    let daemon = node.start();
    for key in &keys {
        daemon.accept(*key, &node.disk(1));
    }
    daemon.post("/api/update_config?disk_rate_limit_bytes_per_sec=0", &serde_json::Value::Null);
    daemon.wait_until_idle();

    let metrics = daemon.get_text("/metrics");
    let value = |name: &str| -> f64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {metrics}"))
    };
    let tablets = value("tabletd_migrations_completed_total");
    assert_eq!(
        value("tabletd_barrier_waits_total"),
        BARRIERS_EACH * tablets,
        "a barrier was left out or added"
    );
    let flushes_per_thousand = 1000.0 * value("tabletd_barrier_syncs_total") / tablets;
    println!("{flushes_per_thousand:.0} flushes per 1,000 tablets");
    assert!(flushes_per_thousand <= SHARED_BY_TWO, "{flushes_per_thousand:.0} flushes per 1,000 tablets");
    daemon.stop();
    assert!(node.assert_whole().values().all(|root| *root == 1));
}
