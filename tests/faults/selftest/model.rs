//! The log and the image against a disk so simple that it can be read: an array of bytes.

use std::io;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use crate::disk::image::{Image, PAGE_SIZE};
use crate::disk::log::{CutModel, Log, Position};
use crate::scenario::{Bench, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "tool: an image reads back what was written", needs: &[], run: image_agrees },
    Scenario { name: "tool: a cut keeps what was flushed and invents nothing", needs: &[], run: cut_agrees },
];

const SIZE: usize = 3 * PAGE_SIZE;

/// One operation on the small disk: a write of `len` bytes of this value, or a flush.
#[derive(Debug, Clone)]
enum Step {
    Write { offset: usize, len: usize, value: u8 },
    Flush,
}

impl Step {
    /// The bytes a write touches, as far as the disk reaches.
    fn range(&self) -> Option<std::ops::Range<usize>> {
        match self {
            Self::Write { offset, len, .. } => Some(*offset..(offset + len).min(SIZE)),
            Self::Flush => None,
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..SIZE, 1..2 * PAGE_SIZE, any::<u8>()).prop_map(|(offset, len, value)| Step::Write { offset, len, value }),
        1 => Just(Step::Flush),
    ]
}

fn check<S: Strategy>(
    bench: &mut Bench<'_>,
    cases: u32,
    strategy: &S,
    test: impl Fn(S::Value) -> Result<(), TestCaseError>,
) -> io::Result<()> {
    let mut seed = [0; 32];
    seed.copy_from_slice(&bench.rng().bytes(32));
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let found = runner.run(strategy, test).map_err(|error| error.to_string());
    bench.count(found, |_| Ok(()))
}

fn image_agrees(bench: &mut Bench<'_>) -> io::Result<()> {
    check(bench, 200, &(prop::collection::vec(step(), 0..20), 0..SIZE, 0..SIZE), |(steps, offset, len)| {
        let mut image = Image::zeroed(SIZE);
        for step in &steps {
            if let Step::Write { offset, len, value } = step {
                image.write(*offset, &vec![*value; *len]);
            }
        }
        prop_assert_eq!(image.read(offset, len), &plain(&steps)[offset..(offset + len).min(SIZE)]);
        Ok(())
    })
}

fn cut_agrees(bench: &mut Bench<'_>) -> io::Result<()> {
    let unit = 512;
    let models = [CutModel::Lost, CutModel::Subset, CutModel::Torn { unit_bytes: unit }];
    let strategy = (prop::collection::vec(step(), 0..20), any::<u64>());
    check(bench, 200, &strategy, |(steps, seed)| {
        let mut log = Log::over(Image::zeroed(SIZE));
        for (step, at) in steps.iter().zip(1..) {
            match step {
                Step::Write { offset, len, value } => {
                    log.wrote(at, *offset, &vec![*value; (*len).min(SIZE - offset)]);
                }
                Step::Flush => log.flushed(at, log.len()),
            }
        }
        // Backwards too: the checkpoint must not remember the future.
        let positions = (0..=steps.len()).chain((0..=steps.len()).rev());
        for (position, model) in positions.flat_map(|position| models.map(|model| (position, model))) {
            let image = log.cut(position as Position, model, seed).read(0, SIZE);
            let again = log.cut(position as Position, model, seed).read(0, SIZE);
            prop_assert_eq!(&image, &again, "the same cut twice made two images");
            let flushed = steps[..position].iter().rposition(|step| matches!(step, Step::Flush)).unwrap_or(0);
            let (durable, all) = (plain(&steps[..flushed]), plain(&steps[..position]));
            let volatile = &steps[flushed..position];
            let invented = (0..SIZE).find(|&at| image[at] != durable[at] && !wrote(volatile, at, image[at]));
            prop_assert_eq!(invented, None, "{} kept a byte that nobody wrote there", model.name());
            match model {
                CutModel::Lost => prop_assert_eq!(&image, &durable),
                CutModel::Torn { .. } => {
                    let last = volatile.iter().rev().find_map(Step::range).unwrap_or(0..0);
                    let changed = (0..SIZE).find(|at| !last.contains(at) && image[*at] != all[*at]);
                    prop_assert_eq!(changed, None, "more than the last write was torn");
                }
                CutModel::Subset => {}
            }
        }
        Ok(())
    })
}

/// The disk after these steps if nothing is ever lost.
fn plain(steps: &[Step]) -> Vec<u8> {
    let mut bytes = vec![0; SIZE];
    for step in steps {
        if let Step::Write { value, .. } = step {
            bytes[step.range().expect("a write has a range")].fill(*value);
        }
    }
    bytes
}

/// Whether one of these steps writes this value to this place.
fn wrote(steps: &[Step], at: usize, byte: u8) -> bool {
    steps.iter().any(|step| match step {
        Step::Write { value, .. } => *value == byte && step.range().is_some_and(|range| range.contains(&at)),
        Step::Flush => false,
    })
}
