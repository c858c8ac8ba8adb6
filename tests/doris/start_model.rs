//! What a backend makes of a tablet at its start: every order in which the threads of two roots can load, by the rules of
//! 1.1 and of later releases (`doris-roots` 4 and 4.1).

use tabletd::doris::inventory::Found;
use tabletd::doris::record::{Rowset, RowsetState, Tablet, TabletState};

/// How two copies of equal version are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Release {
    /// 1.1 and early 1.2: the newcomer wins only with a later time.
    Strict,
    /// From about 1.2.2: the one loaded last wins at equal times.
    LaterOrEqual,
}

/// The tablet as the backend has it once all roots are loaded.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    /// Of the copy that was kept.
    pub(crate) root: usize,
    /// Of its record, and those that were attached.
    pub(crate) rowsets: Vec<Rowset>,
    /// Transactions that are open again.
    pub(crate) open: Vec<String>,
    /// Its record.
    pub(crate) tablet: Tablet,
}

#[derive(Clone, Copy)]
enum Step {
    Load,
    Attach,
}

/// What becomes of a tablet with these copies, in every order and by every release.
pub(crate) fn starts(copies: &[Option<Found>; 2]) -> Vec<Option<Live>> {
    const ORDERS: [[(usize, Step); 4]; 6] = {
        use Step::{Attach, Load};
        [
            [(0, Load), (0, Attach), (1, Load), (1, Attach)],
            [(0, Load), (1, Load), (0, Attach), (1, Attach)],
            [(0, Load), (1, Load), (1, Attach), (0, Attach)],
            [(1, Load), (1, Attach), (0, Load), (0, Attach)],
            [(1, Load), (0, Load), (1, Attach), (0, Attach)],
            [(1, Load), (0, Load), (0, Attach), (1, Attach)],
        ]
    };
    let mut ends = Vec::new();
    for release in [Release::Strict, Release::LaterOrEqual] {
        for order in ORDERS {
            let mut live: Option<Live> = None;
            for (root, step) in order {
                let Some(copy) = &copies[root] else { continue };
                match step {
                    Step::Load => load(&mut live, root, copy, release),
                    Step::Attach => attach(&mut live, copy),
                }
            }
            ends.push(live);
        }
    }
    ends
}

fn newest(rowsets: &[Rowset]) -> Option<(i64, i64)> {
    rowsets.iter().map(|rowset| (rowset.end_version, rowset.creation_time)).max()
}

fn load(live: &mut Option<Live>, root: usize, copy: &Found, release: Release) {
    let tablet = copy.record.as_ref().expect("a start with this record would end the backend");
    if tablet.state != TabletState::Running {
        return;
    }
    let wins = live.as_ref().is_none_or(|known| {
        let (known, new) = (newest(&known.rowsets), newest(&tablet.rowsets));
        match release {
            Release::Strict => new > known,
            Release::LaterOrEqual => new >= known,
        }
    });
    if wins {
        *live =
            Some(Live { root, rowsets: tablet.rowsets.clone(), open: Vec::new(), tablet: tablet.clone() });
    }
}

fn attach(live: &mut Option<Live>, copy: &Found) {
    let Some(live) = live else { return };
    for rowset in copy.fresh.iter().filter(|rowset| rowset.uid == live.tablet.uid) {
        match rowset.state {
            RowsetState::Visible => {
                let known = |other: &Rowset| other.id == rowset.id || other.covers(rowset);
                if !live.rowsets.iter().any(known) {
                    live.rowsets.push(rowset.clone());
                }
            }
            RowsetState::Committed => live.open.push(rowset.id.clone()),
            RowsetState::Other => {}
        }
    }
}
