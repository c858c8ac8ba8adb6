//! What a backend does to its tablets between two moves: loads, checkpoints, compactions, other records. Rowsets that are
//! made here have no segments, so that no files have to be invented.

use crate::Random;
use crate::db::{Content, Database};
use crate::proto::{bytes, number, put_bytes, put_number, without};
use crate::records::{
    CREATED, END, ROWSET_ID, ROWSET_UID, ROWSETS, SEGMENTS, START, Tablet, UID, tablets,
};

type Changes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// Ids of rowsets that were made here begin so.
const OURS: &str = "02ff";

/// Applies `count` changes; `content` is what the database has, before and after.
pub fn churn(
    database: &Database,
    content: &mut Content,
    random: &mut Random,
    count: usize,
) -> Result<(), String> {
    for _ in 0..count {
        let all = tablets(content);
        let changes = match (all.is_empty(), random.below(8)) {
            (true, _) | (_, 0) => other_key(random),
            (_, 1 | 2) => rewrite(pick(&all, random), random),
            (_, 3..=5) => load(pick(&all, random), content, random),
            (_, 6) => checkpoint(pick(&all, random), content),
            _ => compact(pick(&all, random), random),
        };
        database.write(&changes)?;
        for (key, value) in changes {
            match value {
                Some(value) => drop(content.insert(key, value)),
                None => drop(content.remove(&key)),
            }
        }
    }
    Ok(())
}

fn pick<'a>(all: &'a [Tablet], random: &mut Random) -> &'a Tablet {
    &all[random.below(all.len() as u64) as usize]
}

fn other_key(random: &mut Random) -> Changes {
    let key = format!("gc_{OURS}{:044x}", random.below(50)).into_bytes();
    let value = (random.below(3) > 0).then(|| vec![7; random.below(2000) as usize]);
    vec![(key, value)]
}

/// The record saved again, with a field that a later release may have.
fn rewrite(tablet: &Tablet, random: &mut Random) -> Changes {
    const UNKNOWN: u64 = 7100;
    let mut record = without(&tablet.record, &[UNKNOWN]);
    put_number(&mut record, UNKNOWN, random.below(u64::MAX));
    vec![(tablet.key.clone(), Some(record))]
}

/// One more rowset, published and not yet in the record.
fn load(tablet: &Tablet, content: &Content, random: &mut Random) -> Changes {
    let all: Vec<Vec<u8>> = tablet
        .rowsets(ROWSETS)
        .into_iter()
        .chain(tablet.fresh(content).into_values())
        .collect();
    let newest = all
        .iter()
        .max_by_key(|rowset| number(rowset, END))
        .expect("a running tablet has one");
    let version = number(newest, END) + 1;
    let rowset = made_like(
        newest,
        version,
        version,
        &bytes(&tablet.record, UID),
        random,
    );
    let id = String::from_utf8(bytes(&rowset, ROWSET_ID)).expect("text");
    vec![(
        format!("rst_{}_{id}", tablet.uid).into_bytes(),
        Some(rowset),
    )]
}

fn made_like(like: &[u8], start: u64, end: u64, uid: &[u8], random: &mut Random) -> Vec<u8> {
    let mut rowset = without(
        like,
        &[
            1, START, END, CREATED, ROWSET_UID, SEGMENTS, ROWSET_ID, 16, 24,
        ],
    );
    put_number(&mut rowset, 1, 0);
    put_number(&mut rowset, START, start);
    put_number(&mut rowset, END, end);
    put_number(
        &mut rowset,
        CREATED,
        number(like, CREATED) + random.below(100),
    );
    put_bytes(&mut rowset, ROWSET_UID, uid);
    put_number(&mut rowset, SEGMENTS, 0);
    let id = format!(
        "{OURS}{:012x}{:016x}{:016x}",
        random.below(1 << 48),
        random.below(u64::MAX),
        random.below(u64::MAX)
    );
    put_bytes(&mut rowset, ROWSET_ID, id.as_bytes());
    rowset
}

/// Fresh rowsets go into the record.
fn checkpoint(tablet: &Tablet, content: &Content) -> Changes {
    let mut record = tablet.record.clone();
    let known: Vec<Vec<u8>> = tablet.rowsets(ROWSETS);
    let covered = |rowset: &[u8]| {
        known.iter().any(|other| {
            number(other, START) <= number(rowset, START)
                && number(rowset, END) <= number(other, END)
        })
    };
    let mut changes = Changes::new();
    for (key, rowset) in tablet.fresh(content) {
        if !covered(&rowset) {
            put_bytes(&mut record, ROWSETS, &rowset);
        }
        changes.push((key, None));
    }
    changes.insert(0, (tablet.key.clone(), Some(record)));
    changes
}

/// The rowsets made here become one, where nothing lies between them.
fn compact(tablet: &Tablet, random: &mut Random) -> Changes {
    let is_ours = |rowset: &Vec<u8>| bytes(rowset, ROWSET_ID).starts_with(OURS.as_bytes());
    let (mut ours, others): (Vec<_>, Vec<_>) =
        tablet.rowsets(ROWSETS).into_iter().partition(is_ours);
    ours.sort_by_key(|rowset| number(rowset, START));
    let follow = ours
        .windows(2)
        .all(|two| number(&two[0], END) + 1 == number(&two[1], START));
    if ours.len() < 2 || !follow {
        return rewrite(tablet, random);
    }
    let (first, last) = (&ours[0], &ours[ours.len() - 1]);
    let merged = made_like(
        last,
        number(first, START),
        number(last, END),
        &bytes(&tablet.record, UID),
        random,
    );
    let mut record = without(&tablet.record, &[ROWSETS]);
    others
        .iter()
        .chain([&merged])
        .for_each(|rowset| put_bytes(&mut record, ROWSETS, rowset));
    vec![(tablet.key.clone(), Some(record))]
}
