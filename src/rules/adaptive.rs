//! How fast copies may go beside somebody else's work: a control loop that is told what a disk and the kernel felt.
//!
//! The rate rises while nobody is hurt and falls at once when a small read takes longer than on the calm disk, or when
//! others stall on I/O. The rate at which it hurt last (the knee) is remembered: up to four fifths of it the rate comes
//! back quickly, from there it creeps, so that the knee is touched for a small share of the time only; once it is
//! passed unhurt it is forgotten. Pure: samples in, a rate out; measuring and waiting is its owner's work.
//!
//! Adaptive throttling. `engine/tend/pace.rs` measures, `rules/adaptive.rs` decides, one limiter per disk obeys. The
//! signal is a 4 KiB read of the disk past the page cache, 100 per second on a solid-state disk and 20 on a spinning
//! one, only while something is copied: nine tenths of them against the same on the calm disk (measured at the floor
//! when copying begins). Its block is always the same (and what its thread waited for a processor is taken off), so a
//! drive may answer it from its own cache: it sees queues, which is what we can change, not seeks. The second signal is
//! `some` of `/proc/pressure/io`, minus the time in which any call of ours was out, since our own waits are in it: a
//! lower bound, blind while we never pause, and of the whole machine, so that only its rise above the calm disk's
//! counts. On btrfs and tmpfs, where small reads may come from the cache, it decides alone. The loop cannot tell who
//! else is there: on a disk that is ours alone it stays a little below what the disk can do. While it is in force no
//! block is longer than 128 KiB (`CopyHooks::block_bytes_max`): with whole blocks of 1 MiB a reader beside them felt
//! each one, and the loop came to rest at a tenth of the rate.

use std::time::Duration;

/// Samples at the floor from which the calm disk's latency is learned, before anything is let go.
const LEARN_SAMPLES: u32 = 3;
/// Latency, in percent of the calm disk's, above which the rate does not rise, and above which it falls.
const UNEASY_PERCENT: u128 = 125;
const PRESSED_PERCENT: u128 = 150;
/// A difference that nobody feels, however many percent it is.
const UNFELT: Duration = Duration::from_micros(50);
/// Share of time in which others stalled on I/O, in thousandths above that of the calm disk, with the same two meanings.
const UNEASY_STALL_PERMILLE: u32 = 100;
const PRESSED_STALL_PERMILLE: u32 = 200;

/// Between which rates to stay, in bytes per second. A ceiling below the floor counts as the floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Never slower.
    pub floor_bytes_per_sec: u64,
    /// Never faster.
    pub ceiling_bytes_per_sec: u64,
}

/// What was felt since the last sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sample {
    /// What a small read of the disk took; `None` where that says nothing (it is answered from a cache).
    pub latency: Option<Duration>,
    /// Share of the time in which anybody but us stalled on I/O, in thousandths.
    pub stall_permille: u32,
    /// What was copied, whatever was allowed, in bytes per second.
    pub passed_bytes_per_sec: u64,
}

/// What a sample led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The calm disk is being measured.
    Learning,
    /// Nobody is hurt: faster.
    Free,
    /// As before: somebody begins to feel it.
    Hold,
    /// Slower: small reads wait.
    Latency,
    Stalls,
}

/// The loop's memory, for one disk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pacer {
    rate_bytes_per_sec: u64,
    knee_bytes_per_sec: Option<u64>,
    learned: u32,
    calm_latency: Option<Duration>,
    calm_stall_permille: Option<u32>,
}

impl Pacer {
    /// The rate now; 0 before the first sample.
    pub fn rate_bytes_per_sec(&self) -> u64 {
        self.rate_bytes_per_sec
    }

    /// What a small read takes while we do next to nothing; `None` while that is not known.
    pub fn calm_latency(&self) -> Option<Duration> {
        self.calm_latency
    }

    /// Measures the calm disk again before anything else: it has rested, and others have come or gone.
    pub fn learn_again(&mut self) {
        self.learned = 0;
        self.calm_latency = None;
        self.calm_stall_permille = None;
    }

    /// Takes a sample and sets the rate until the next one.
    pub fn step(&mut self, sample: Sample, bounds: Bounds) -> Verdict {
        let floor = bounds.floor_bytes_per_sec.max(1);
        let ceiling = bounds.ceiling_bytes_per_sec.max(floor);
        if self.learned < LEARN_SAMPLES {
            self.learned += 1;
            self.rate_bytes_per_sec = floor;
            // The least of what was seen: one hiccup must not become the measure.
            self.calm_latency = self.calm_latency.into_iter().chain(sample.latency).min();
            let stall = sample.stall_permille;
            self.calm_stall_permille = Some(self.calm_stall_permille.map_or(stall, |calm| calm.min(stall)));
            return Verdict::Learning;
        }
        let rate = self.rate_bytes_per_sec.clamp(floor, ceiling);
        let verdict = self.judge(sample);
        self.rate_bytes_per_sec = match verdict {
            Verdict::Learning | Verdict::Hold => rate,
            Verdict::Free => self.raised(rate, floor),
            Verdict::Latency | Verdict::Stalls => {
                // What was allowed and not used cannot have hurt.
                let hurting = rate.min(sample.passed_bytes_per_sec.max(floor));
                // At the floor it is not we who hurt. And one alarm may be false: the knee gives way step by step.
                let knee = self.knee_bytes_per_sec.map_or(hurting, |knee| hurting.max(knee / 8 * 7));
                self.knee_bytes_per_sec = (rate > floor).then_some(knee);
                hurting / 5 * 3
            }
        }
        .clamp(floor, ceiling);
        self.adjust_calm(sample, rate == floor);
        verdict
    }

    fn judge(&self, sample: Sample) -> Verdict {
        let slower_than = |percent: u128| match (sample.latency, self.calm_latency) {
            (Some(now), Some(calm)) => {
                now > calm + UNFELT && now.as_nanos() * 100 > calm.as_nanos() * percent
            }
            _ => false,
        };
        let stall_permille = sample.stall_permille.saturating_sub(self.calm_stall_permille.unwrap_or(0));
        if slower_than(PRESSED_PERCENT) {
            Verdict::Latency
        } else if stall_permille > PRESSED_STALL_PERMILLE {
            Verdict::Stalls
        } else if slower_than(UNEASY_PERCENT) || stall_permille > UNEASY_STALL_PERMILLE {
            Verdict::Hold
        } else {
            Verdict::Free
        }
    }

    fn raised(&mut self, rate: u64, floor: u64) -> u64 {
        let Some(knee) = self.knee_bytes_per_sec else {
            return rate.saturating_add(rate / 2 + 1);
        };
        let near = knee / 5 * 4;
        if rate < near {
            return rate.saturating_add(rate / 4 + 1).min(near);
        }
        let raised = rate.saturating_add(knee / 1000 + floor / 64 + 1);
        if raised > knee.saturating_add(knee / 20) {
            self.knee_bytes_per_sec = None;
        }
        raised
    }

    /// The calm disk may turn out to be faster than was learned. That it is slower can only be told at the floor, where
    /// the slowness is not ours.
    fn adjust_calm(&mut self, sample: Sample, at_floor: bool) {
        if let (Some(calm), Some(now)) = (self.calm_latency, sample.latency) {
            self.calm_latency = Some(if now < calm {
                calm - (calm - now) / 16
            } else if at_floor {
                calm + (now - calm) / 16
            } else {
                calm
            });
        }
        if let Some(calm) = self.calm_stall_permille {
            let now = sample.stall_permille;
            self.calm_stall_permille = Some(if now < calm {
                calm - (calm - now).div_ceil(16)
            } else if at_floor {
                calm + (now - calm).div_ceil(16)
            } else {
                calm
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: Bounds = Bounds { floor_bytes_per_sec: 4 << 20, ceiling_bytes_per_sec: 1 << 30 };

    fn sample(latency_us: u64, stall_permille: u32) -> Sample {
        let passed_bytes_per_sec = u64::MAX;
        Sample { latency: Some(Duration::from_micros(latency_us)), stall_permille, passed_bytes_per_sec }
    }

    fn learned(latency_us: u64) -> Pacer {
        let mut pacer = Pacer::default();
        for _ in 0..LEARN_SAMPLES {
            assert_eq!(pacer.step(sample(latency_us, 0), BOUNDS), Verdict::Learning);
            assert_eq!(pacer.rate_bytes_per_sec(), BOUNDS.floor_bytes_per_sec);
        }
        pacer
    }

    fn steps_to_ceiling(pacer: &mut Pacer) -> Option<u32> {
        (1..=1000).find(|_| {
            pacer.step(sample(100, 0), BOUNDS);
            pacer.rate_bytes_per_sec() == BOUNDS.ceiling_bytes_per_sec
        })
    }

    #[test]
    fn on_a_calm_disk_the_ceiling_is_reached_within_seconds() {
        assert!(steps_to_ceiling(&mut learned(100)) < Some(20));
    }

    #[test]
    fn each_signal_has_its_word_and_its_direction() {
        for (latency_us, stall_permille, verdict) in [
            (1000, 0, Verdict::Free),
            (1250, 100, Verdict::Free),
            (1251, 0, Verdict::Hold),
            (1000, 101, Verdict::Hold),
            (1501, 0, Verdict::Latency),
            (1000, 201, Verdict::Stalls),
        ] {
            let mut low = learned(1000);
            low.step(sample(1000, 0), BOUNDS);
            let before = low.rate_bytes_per_sec();
            assert_eq!(
                low.step(sample(latency_us, stall_permille), BOUNDS),
                verdict,
                "{latency_us} {stall_permille}"
            );
            let after = low.rate_bytes_per_sec();
            match verdict {
                Verdict::Free => assert!(after > before),
                Verdict::Hold => assert_eq!(after, before),
                _ => assert!(after < before, "{after} {before}"),
            }
        }
    }

    #[test]
    fn a_few_microseconds_are_not_felt_and_a_machine_that_always_stalls_is_its_own_measure() {
        let mut fast = learned(20);
        assert_eq!(fast.step(sample(70, 0), BOUNDS), Verdict::Free);
        let mut busy = Pacer::default();
        (0..LEARN_SAMPLES).for_each(|_| assert_eq!(busy.step(sample(100, 500), BOUNDS), Verdict::Learning));
        assert_eq!(busy.step(sample(100, 600), BOUNDS), Verdict::Free);
        // At the floor the measure has moved a little towards what was seen there.
        assert_eq!(busy.step(sample(100, 750), BOUNDS), Verdict::Stalls);
    }

    #[test]
    fn near_the_knee_it_creeps_and_hurts_less_than_one_time_in_a_hundred() {
        let knee = 300 << 20;
        let mut pacer = learned(100);
        let mut hurt = 0;
        for _ in 0..5000 {
            let rate = pacer.rate_bytes_per_sec();
            let latency_us = if rate > knee { 1000 } else { 100 };
            let verdict = pacer.step(Sample { passed_bytes_per_sec: rate, ..sample(latency_us, 0) }, BOUNDS);
            hurt += u32::from(verdict == Verdict::Latency);
        }
        assert!((1..50).contains(&hurt), "{hurt} of 5000");
        assert!(pacer.rate_bytes_per_sec() > knee / 2);
    }

    #[test]
    fn alarms_at_the_floor_leave_no_knee_behind() {
        let mut pacer = learned(100);
        pacer.step(sample(1000, 0), BOUNDS);
        assert_eq!(pacer.rate_bytes_per_sec(), BOUNDS.floor_bytes_per_sec);
        assert!(steps_to_ceiling(&mut pacer) < Some(20));
    }

    #[test]
    fn a_disk_that_is_slow_without_us_becomes_the_new_calm() {
        let mut pacer = learned(100);
        for _ in 0..300 {
            pacer.step(sample(1000, 0), BOUNDS);
        }
        assert!(pacer.rate_bytes_per_sec() > BOUNDS.floor_bytes_per_sec);
    }

    #[test]
    fn without_a_latency_stalls_alone_decide() {
        let none = Sample { latency: None, passed_bytes_per_sec: u64::MAX, ..Sample::default() };
        let mut pacer = Pacer::default();
        for _ in 0..50 {
            pacer.step(none, BOUNDS);
        }
        assert_eq!(pacer.rate_bytes_per_sec(), BOUNDS.ceiling_bytes_per_sec);
        assert_eq!(pacer.step(Sample { stall_permille: 500, ..none }, BOUNDS), Verdict::Stalls);
        assert!(pacer.rate_bytes_per_sec() < BOUNDS.ceiling_bytes_per_sec);
    }

    fn samples() -> impl Strategy<Value = Vec<(u64, u32, u64)>> {
        prop::collection::vec((1_u64..100_000, 0_u32..=1000, any::<u64>()), 0..100)
    }

    fn run(pacer: &mut Pacer, history: &[(u64, u32, u64)], bounds: Bounds) {
        for (latency_us, stall_permille, passed_bytes_per_sec) in history {
            pacer.step(
                Sample {
                    passed_bytes_per_sec: *passed_bytes_per_sec,
                    ..sample(*latency_us, *stall_permille)
                },
                bounds,
            );
        }
    }

    proptest! {
        #[test]
        fn never_below_the_floor_and_never_above_the_ceiling(
            history in samples(), floor in 0_u64..1 << 30, ceiling in any::<u64>(),
        ) {
            let bounds = Bounds { floor_bytes_per_sec: floor, ceiling_bytes_per_sec: ceiling };
            let mut pacer = Pacer::default();
            for one in &history {
                run(&mut pacer, std::slice::from_ref(one), bounds);
                let rate = pacer.rate_bytes_per_sec();
                prop_assert!(rate >= floor.max(1) && rate <= ceiling.max(floor).max(1), "{rate}");
            }
        }

        #[test]
        fn whatever_was_the_ceiling_comes_back_when_the_pressure_is_gone(history in samples()) {
            let mut pacer = learned(100);
            run(&mut pacer, &history, BOUNDS);
            // The calm latency was only ever raised at the floor, or lowered towards what was seen.
            pacer.learn_again();
            prop_assert!(steps_to_ceiling(&mut pacer).is_some());
        }

        /// More pain never gives a higher rate.
        #[test]
        fn the_reaction_is_monotone(
            history in samples(),
            latency_us in 1_u64..100_000, stall in 0_u32..=1000,
            more_latency_us in 0_u64..100_000, more_stall in 0_u32..=1000,
            passed in any::<u64>(),
        ) {
            let mut pacer = learned(100);
            run(&mut pacer, &history, BOUNDS);
            let mut other = pacer.clone();
            run(&mut pacer, &[(latency_us, stall, passed)], BOUNDS);
            run(&mut other, &[(latency_us + more_latency_us, stall + more_stall, passed)], BOUNDS);
            prop_assert!(other.rate_bytes_per_sec() <= pacer.rate_bytes_per_sec());
        }
    }
}
