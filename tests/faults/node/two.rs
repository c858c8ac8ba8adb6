//! Two daemons are started on the same roots at the same moment, with state directories of their own or with one: never
//! do both serve, and what the race leaves is whole. Wants no root.

use std::io;
use std::time::Instant;

use tabletd::storage::ReadFrom;

use crate::harness::Node;
use crate::scenario::{Bench, Scale, Scenario};

pub(super) const SCENARIOS: &[Scenario] =
    &[Scenario { name: "two daemons started at once", needs: &[], run: races }];

fn races(bench: &mut Bench<'_>) -> io::Result<()> {
    let trials = if bench.scale == Scale::Short { 20 } else { 1000 };
    let mut first = Node::new(2);
    for id in 1..=4 {
        first.add_tablet(usize::from(id % 2 == 0), id, &[5000]);
    }
    first.try_start().map_err(io::Error::other)?.stop();
    let own_state = Node::on(tempfile::tempdir()?, first.roots.clone());
    let mut same_state = Node::on(tempfile::tempdir()?, first.roots.clone());
    same_state.settings = format!("state_dir = {}\n", first.dir.path().join("state").display());
    let begun = Instant::now();
    let (mut one, mut none) = (0, 0);
    for trial in 0..trials {
        let second = if trial % 2 == 0 { &own_state } else { &same_state };
        let (left, right) = (first.spawn(), second.spawn());
        let (left, right) =
            (left.wait_until_listening(super::PATIENCE), right.wait_until_listening(super::PATIENCE));
        let found = match (&left, &right) {
            (Ok(_), Ok(_)) => Err("both serve the same roots".to_owned()),
            (Err(left), Err(right)) => {
                none += 1;
                let both_say = [left, right].iter().all(|said| said.contains("in use"));
                if both_say {
                    Ok(())
                } else {
                    Err(format!("neither started, and not for the other:\n{left}\n{right}"))
                }
            }
            (Ok(serving), Err(said)) | (Err(said), Ok(serving)) => {
                one += 1;
                let tablets = serving.try_get("/api/v1/tablets");
                let whole = tablets.as_ref().is_ok_and(|tablets| tablets["total"] == 4);
                if whole && said.contains("in use") {
                    Ok(())
                } else {
                    let serving = serving.said();
                    Err(format!("one serves {tablets:?} and says:\n{serving}\nthe other says:\n{said}"))
                }
            }
        };
        drop((left, right));
        bench.count(found.and_then(|()| first.examine(ReadFrom::Cache).map(drop)), |_| Ok(()))?;
    }
    bench.board.pace(bench.name, "ms per race", begun.elapsed(), trials);
    bench.board.figure(bench.name, "one served", f64::from(one));
    bench.board.figure(bench.name, "none served", f64::from(none));
    Ok(())
}
