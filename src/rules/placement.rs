//! The best disk of a medium for one tablet. Plans place many tablets (`planning`); this places one that somebody asks to
//! have moved now.

use crate::model::{Capacity, ErrorCode, Failure, Medium, TabletKey};

/// A disk that may be chosen, and what admission says to it.
#[derive(Debug, Clone)]
pub struct Candidate<'a> {
    pub path: &'a str,
    pub medium: Medium,
    /// Admission's answer to the move, or why the move would gain nothing.
    pub answer: Result<(), Failure>,
    pub capacity: Capacity,
    /// Bytes promised to moves in flight and queued.
    pub reserved_bytes: u64,
}

impl Candidate<'_> {
    /// Share in use, in millionths, once the tablet is on it.
    fn used_after(&self, size_bytes: u64) -> u128 {
        let used =
            u128::from(self.capacity.used_bytes()) + u128::from(self.reserved_bytes) + u128::from(size_bytes);
        used * 1_000_000 / u128::from(self.capacity.total_bytes.max(1))
    }
}

/// Chooses the disk of `medium` that is least full with the tablet on it; of equals the first.
///
/// # Errors
/// What concerns the tablet and no disk, as admission says it; else `PLAN_REFUSED` with the reason of every disk.
pub fn choose<'a>(
    key: TabletKey,
    medium: Medium,
    size_bytes: u64,
    candidates: &[Candidate<'a>],
) -> Result<&'a str, Failure> {
    let mut of_medium = candidates.iter().filter(|candidate| candidate.medium == medium);
    let best = of_medium
        .clone()
        .filter(|candidate| candidate.answer.is_ok())
        .min_by_key(|candidate| candidate.used_after(size_bytes));
    if let Some(best) = best {
        return Ok(best.path);
    }
    let about_the_tablet = |failure: &&Failure| {
        !matches!(
            failure.code,
            ErrorCode::DiskFull
                | ErrorCode::DiskUnavailable
                | ErrorCode::AlreadyOnDisk
                | ErrorCode::PlanRefused
        )
    };
    if let Some(failure) = of_medium.clone().filter_map(|c| c.answer.as_ref().err()).find(about_the_tablet) {
        return Err(failure.clone());
    }
    let reasons: Vec<_> = of_medium
        .by_ref()
        .filter_map(|candidate| Some(format!("{}: {}", candidate.path, candidate.answer.as_ref().err()?)))
        .collect();
    let text = match reasons.is_empty() {
        true => format!("tablet {key}: no configured disk is {medium}"),
        false => format!("tablet {key} fits on no {medium} disk: {}", reasons.join("; ")),
    };
    Err(Failure::new(ErrorCode::PlanRefused, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: TabletKey = TabletKey::new(1, 2);

    fn candidate(path: &str, medium: Medium, avail_bytes: u64, refusal: Option<ErrorCode>) -> Candidate<'_> {
        Candidate {
            path,
            medium,
            answer: refusal.map_or(Ok(()), |code| Err(Failure::new(code, format!("{code} of it")))),
            capacity: Capacity { total_bytes: 1000, avail_bytes, ..Capacity::default() },
            reserved_bytes: 0,
        }
    }

    #[test]
    fn the_least_full_disk_of_the_medium_that_takes_it_is_chosen() {
        use Medium::{Hdd, Ssd};
        let reserved = Candidate { reserved_bytes: 500, ..candidate("/d", Ssd, 950, None) };
        for (candidates, chosen) in [
            (vec![candidate("/a", Ssd, 300, None), candidate("/b", Ssd, 400, None)], "/b"),
            (vec![candidate("/a", Ssd, 300, None), candidate("/b", Ssd, 300, None)], "/a"),
            (vec![candidate("/a", Ssd, 300, None), candidate("/b", Hdd, 900, None)], "/a"),
            (
                vec![candidate("/a", Ssd, 300, None), candidate("/b", Ssd, 900, Some(ErrorCode::DiskFull))],
                "/a",
            ),
            (vec![reserved, candidate("/b", Ssd, 600, None)], "/b"),
        ] {
            assert_eq!(choose(KEY, Ssd, 10, &candidates), Ok(chosen), "{candidates:?}");
        }
    }

    #[test]
    fn a_refusal_names_every_disk_or_what_is_wrong_with_the_tablet() {
        use Medium::{Hdd, Ssd};
        let full = candidate("/a", Ssd, 0, Some(ErrorCode::DiskFull));
        let hung = candidate("/b", Ssd, 900, Some(ErrorCode::DiskUnavailable));
        let refusal = choose(KEY, Ssd, 10, &[full.clone(), hung]).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::PlanRefused);
        assert!(refusal.message.contains("/a: DISK_FULL of it; /b: DISK_UNAVAILABLE"), "{refusal}");
        let busy = candidate("/b", Ssd, 900, Some(ErrorCode::MigrationExists));
        assert_eq!(choose(KEY, Ssd, 10, &[full.clone(), busy]).unwrap_err().code, ErrorCode::MigrationExists);
        let none = choose(KEY, Hdd, 10, &[full]).unwrap_err();
        assert!(none.message.contains("no configured disk is HDD"), "{none}");
    }
}
