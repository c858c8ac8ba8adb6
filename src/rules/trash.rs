//! When a retired source may leave the trash.
//!
//! Trash is part of the protocol: a copy that read back well can still turn out bad after a remount. A source goes only
//! when its live copy has passed a cold check *after* the retirement, which the caller makes last, and:
//!
//! * `trash_file_expire_time_sec` (Doris's key) has passed by the clock; 0 or less means at once;
//! * `trash_min_uptime_sec` has passed by the daemon's own counted up-time: a clock that jumps, or a node that was off for
//!   a week, purges nothing that has not had its time.
//!
//! On a disk above nine tenths of its flood stage both count as 0, as in Doris; the cold check never does.

/// What is asked of a copy that may be the last one of its tablet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastCopy {
    Keep,
    /// It goes: an operator has said so.
    Remove,
}

/// The two limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrashLimits {
    /// `trash_file_expire_time_sec`.
    pub expire_sec: i64,
    /// `trash_min_uptime_sec`.
    pub uptime_sec: u64,
    /// Share of the disk in use at which both count as 0, percent.
    pub pressure_percent: u64,
}

/// What is known of one tablet in trash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrashFacts {
    /// Seconds since it was retired, by the clock; may be negative after a jump.
    pub age_sec: i64,
    /// Counted up-time when it was retired.
    pub retired_at_uptime_sec: u64,
    pub now_uptime_sec: u64,
    /// Share of its disk in use, percent.
    pub used_percent: u64,
}

/// Why it stays for now; `None` when it is due for its cold check.
pub fn kept_because(facts: TrashFacts, limits: TrashLimits) -> Option<String> {
    if facts.used_percent >= limits.pressure_percent {
        return None;
    }
    if facts.age_sec < limits.expire_sec {
        return Some(format!("{} s old, kept for {} s", facts.age_sec, limits.expire_sec));
    }
    // A counter below what was noted means that the journal was begun anew: count from its beginning.
    let uptime_sec =
        facts.now_uptime_sec.checked_sub(facts.retired_at_uptime_sec).unwrap_or(facts.now_uptime_sec);
    (uptime_sec < limits.uptime_sec)
        .then(|| format!("{uptime_sec} s of up-time since, kept for {} s", limits.uptime_sec))
}

/// In how many seconds it is due for its cold check when the daemon goes on running; 0 when it is due now.
pub fn due_in_sec(facts: TrashFacts, limits: TrashLimits) -> u64 {
    if kept_because(facts, limits).is_none() {
        return 0;
    }
    let by_clock = limits.expire_sec.saturating_sub(facts.age_sec);
    let uptime_sec =
        facts.now_uptime_sec.checked_sub(facts.retired_at_uptime_sec).unwrap_or(facts.now_uptime_sec);
    u64::try_from(by_clock).unwrap_or(0).max(limits.uptime_sec.saturating_sub(uptime_sec))
}

/// What frees space on a disk where trash takes some of it; `None` where it takes none.
pub fn purge_offer(path: &str, trash_bytes: u64) -> Option<String> {
    (trash_bytes > 0).then(|| {
        format!("{trash_bytes} bytes there are trash: `tabletctl trash purge --disk {path}` frees them")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: TrashLimits = TrashLimits { expire_sec: 100, uptime_sec: 50, pressure_percent: 81 };
    const OLD: TrashFacts =
        TrashFacts { age_sec: 1000, retired_at_uptime_sec: 10, now_uptime_sec: 1000, used_percent: 10 };

    #[test]
    fn row_by_row() {
        let rows = [
            ("old enough by both", OLD, true),
            ("too young by the clock", TrashFacts { age_sec: 99, ..OLD }, false),
            (
                "the clock jumped ten years ahead",
                TrashFacts { age_sec: 315_360_000, now_uptime_sec: 30, ..OLD },
                false,
            ),
            ("the clock jumped back", TrashFacts { age_sec: -5, ..OLD }, false),
            ("the journal was begun anew", TrashFacts { now_uptime_sec: 5, ..OLD }, false),
            (
                "begun anew, long enough ago",
                TrashFacts { retired_at_uptime_sec: 9999, now_uptime_sec: 50, ..OLD },
                true,
            ),
            (
                "the disk is full",
                TrashFacts { age_sec: 0, now_uptime_sec: 10, used_percent: 81, ..OLD },
                true,
            ),
        ];
        for (name, facts, due) in rows {
            assert_eq!(kept_because(facts, LIMITS).is_none(), due, "{name}");
            assert_eq!(due_in_sec(facts, LIMITS) == 0, due, "{name}");
        }
    }

    #[test]
    fn it_is_due_when_both_times_have_passed() {
        for (age_sec, now_uptime_sec, due) in [(40, 30, 60), (90, 30, 30), (1000, 30, 30), (99, 1000, 1)] {
            let facts = TrashFacts { age_sec, now_uptime_sec, ..OLD };
            assert_eq!(due_in_sec(facts, LIMITS), due, "{age_sec} s old, up for {now_uptime_sec} s");
            let then = TrashFacts {
                age_sec: age_sec + due.cast_signed(),
                now_uptime_sec: now_uptime_sec + due,
                ..OLD
            };
            assert_eq!(kept_because(then, LIMITS), None);
        }
    }

    #[test]
    fn an_expiry_of_zero_still_waits_for_up_time() {
        let limits = TrashLimits { expire_sec: 0, ..LIMITS };
        assert!(kept_because(TrashFacts { age_sec: 0, now_uptime_sec: 20, ..OLD }, limits).is_some());
        assert!(kept_because(TrashFacts { age_sec: 0, now_uptime_sec: 60, ..OLD }, limits).is_none());
    }
}
