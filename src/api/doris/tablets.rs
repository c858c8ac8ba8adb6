//! `/api/tablets_distribution` and `/tablets_json`: which tablets are where.
//!
//! `schema_hash` is in both, as up to Doris 2.0: `/api/tablet_migration` wants it, and scripts read it here.

use std::collections::BTreeMap;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::cpp_number::stoull;
use super::json;
use super::rapid_json::status_json;
use crate::api::app::App;
use crate::api::calls::Touches;
use crate::api::query::Query;
use crate::engine::{DiskView, TabletFilter, TabletView};
use crate::model::{DiskCondition, Failure};

#[derive(Serialize)]
struct Envelope<T> {
    msg: &'static str,
    code: u8,
    data: T,
    count: usize,
}

#[derive(Serialize)]
struct Distribution {
    host: String,
    tablets_distribution: Vec<Partition>,
}

#[derive(Serialize)]
struct Partition {
    partition_id: i64,
    disks: Vec<DiskShare>,
}

#[derive(Serialize)]
struct DiskShare {
    disk_path: String,
    tablets_num: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    tablets: Option<Vec<SizedTablet>>,
}

#[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
struct SizedTablet {
    tablet_id: i64,
    schema_hash: i32,
    tablet_size: u64,
}

#[derive(Serialize)]
struct TabletList {
    host: String,
    tablets: Vec<TabletName>,
}

#[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
struct TabletName {
    tablet_id: i64,
    schema_hash: i32,
}

/// `GET /api/tablets_distribution?group_by=partition[&partition_id=P]`: how many tablets of each partition are on each disk.
#[utoipa::path(
    get,
    path = "/api/tablets_distribution",
    operation_id = "tablets_distribution",
    tag = "doris",
    params(
        ("group_by" = String, Query, description = "partition"),
        ("partition_id" = Option<String>, Query, description = "Only this one, with its tablets"),
    ),
    responses((status = 200, body = serde_json::Value, description = "Partition, disk, number of tablets"))
)]
pub(super) async fn distribution(State(app): State<App>, RawQuery(raw): RawQuery) -> Response {
    let query = Query::parse(raw.as_deref());
    let refused = |text: &str| json(StatusCode::INTERNAL_SERVER_ERROR, status_json("INTERNAL_ERROR", text));
    if query.first("group_by") != "partition" {
        return refused("invalid argument: group_by");
    }
    let wanted = match query.first("partition_id") {
        "" => None,
        // Doris takes 0 for "not given"; here a tablet that was imported without a partition is in partition 0.
        text => match stoull(text) {
            Ok(id) => Some(id),
            Err(error) => return refused(&format!("invalid argument: {text}, reason:{}", error.what)),
        },
    };
    let host = app.host().to_owned();
    let body = app.ask(Touches::Memory, move |node| {
        let mut spread = Spread::new(wanted, node.disks());
        node.for_each_tablet(&mut |tablet| spread.add(tablet));
        spread.into_body(host)
    });
    answer(body.await)
}

/// Partition, then disk, then its tablets; the tablets only when one partition is asked for.
///
/// Every disk that serves is listed for every partition, also with no tablet on it: scripts that even out a partition
/// look there for the disks that could take some, and Doris lists them so.
struct Spread {
    wanted: Option<i64>,
    disks: Vec<String>,
    partitions: BTreeMap<i64, Vec<(usize, Vec<SizedTablet>)>>,
}

impl Spread {
    fn new(wanted: Option<i64>, disks: Vec<DiskView>) -> Self {
        let serves =
            |disk: &DiskView| disk.uuid.is_some() && !matches!(disk.condition, DiskCondition::Broken { .. });
        let disks = disks.into_iter().filter(serves).map(|disk| disk.path).collect();
        Self { wanted, disks, partitions: BTreeMap::new() }
    }

    fn add(&mut self, tablet: &TabletView) {
        if tablet.unavailable.is_some() || self.wanted.is_some_and(|wanted| wanted != tablet.partition_id) {
            return;
        }
        let at = self.disks.iter().position(|disk| *disk == tablet.disk).unwrap_or_else(|| {
            self.disks.push(tablet.disk.clone());
            self.disks.len() - 1
        });
        let shares = self.partitions.entry(tablet.partition_id).or_default();
        if shares.len() <= at {
            shares.resize_with(at + 1, Default::default);
        }
        let (count, tablets) = &mut shares[at];
        *count += 1;
        if self.wanted.is_some() {
            tablets.push(SizedTablet {
                tablet_id: tablet.key.tablet_id.0,
                schema_hash: tablet.key.schema_hash.0,
                tablet_size: tablet.size_bytes,
            });
        }
    }

    fn into_body(self, host: String) -> String {
        let Self { wanted, disks, partitions } = self;
        let mut total = 0;
        let partitions = partitions.into_iter().map(|(partition_id, mut shares)| {
            shares.resize_with(disks.len(), Default::default);
            let disks = disks.iter().zip(shares).map(|(disk_path, (tablets_num, mut tablets))| {
                tablets.sort_unstable();
                total += tablets_num;
                let tablets = wanted.is_some().then_some(tablets);
                DiskShare { disk_path: disk_path.clone(), tablets_num, tablets }
            });
            Partition { partition_id, disks: disks.collect() }
        });
        let tablets_distribution = partitions.collect();
        compact(&Envelope {
            msg: "OK",
            code: 0,
            data: Distribution { host, tablets_distribution },
            count: total,
        })
    }
}

/// `GET /tablets_json?limit=N|all`: the tablets as Doris lists them; 1000 when not said.
#[utoipa::path(
    get,
    path = "/tablets_json",
    operation_id = "tablets_json",
    tag = "doris",
    params(
        ("limit" = Option<String>, Query, description = "A number, or all"),
    ),
    responses((status = 200, body = serde_json::Value, description = "Ids of tablets"))
)]
pub(super) async fn list(State(app): State<App>, RawQuery(raw): RawQuery) -> Response {
    let query = Query::parse(raw.as_deref());
    let (msg, limit) = match query.first("limit") {
        "" => ("OK", Some(1000)),
        "all" => ("OK", None),
        text if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            ("OK", Some(text.parse().unwrap_or(usize::MAX)))
        }
        _ => ("Parameter Error", Some(0)),
    };
    let host = app.host().to_owned();
    let body = app.ask(Touches::Memory, move |node| {
        let name = |tablet: &TabletView| TabletName {
            tablet_id: tablet.key.tablet_id.0,
            schema_hash: tablet.key.schema_hash.0,
        };
        let mut tablets = Vec::new();
        match limit {
            Some(0) => {}
            Some(limit) => {
                let filter = TabletFilter { limit, ..TabletFilter::default() };
                tablets.extend(node.tablets(&filter).items.iter().map(name));
            }
            None => node.for_each_tablet(&mut |tablet| tablets.push(name(tablet))),
        }
        tablets.sort_unstable();
        let count = tablets.len();
        compact(&Envelope { msg, code: 0, data: TabletList { host, tablets }, count })
    });
    answer(body.await)
}

fn compact(body: &impl Serialize) -> String {
    serde_json::to_string(body).expect("names, numbers and strings always serialise")
}

fn answer(body: Result<String, Failure>) -> Response {
    match body {
        Ok(body) => json(StatusCode::OK, body),
        Err(failure) => {
            json(StatusCode::INTERNAL_SERVER_ERROR, status_json("INTERNAL_ERROR", &failure.message))
        }
    }
}
