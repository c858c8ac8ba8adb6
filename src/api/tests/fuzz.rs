//! Requests that are almost right, given to the router without a socket: none panics, none is answered with nonsense, and
//! what is understood is understood the same way twice. `TABLETD_FUZZ_ITERATIONS` makes it a long run.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, Uri, header};
use tower::ServiceExt;

use super::fake::FakeNode;
use super::http::limits;
use crate::api::Access;
use crate::api::app::App;
use crate::api::caller::Address;
use crate::api::caller::Transport;
use crate::api::calls::Calls;
use crate::api::guard::Hosts;
use crate::api::query::Query;
use crate::api::router::{Around, build, normalize};
use crate::api::wire;
use crate::config::Dialect;

#[allow(clippy::duplicate_mod)] // of two rooms that may not import each other
#[path = "../../../tests/support/mutator.rs"]
mod mutator;

const TARGETS: &[&[u8]] = &[
    b"/api/tablet_migration?goal=run&tablet_id=1&schema_hash=2&disk=/d1",
    b"/api/tablet_migration?goal=status&tablet_id=1&schema_hash=2",
    b"/api/health",
    b"/api/compaction/run_status?tablet_id=1",
    b"/api/compaction/show?tablet_id=1",
    b"/api/reload_tablet?path=/d1/data/3&tablet_id=1&schema_hash=2",
    b"/api/glog/adjust?module=api&level=1",
    b"/api/be_version_info",
    b"/api/tablets_distribution?group_by=partition&partition_id=7",
    b"/tablets_json?limit=10",
    b"/api/meta/header/1?byte_to_base64=true",
    b"/api/calc_crc?tablet_id=1&schema_hash=2",
    b"/api/restore_tablet?tablet_id=1&schema_hash=2",
    b"/api/show_config?conf_item=webserver_port",
    b"/api/update_config?disk_rate_limit_bytes_per_sec=1000&persist=true",
    b"/api/v1/migrations?status=completed,failed&limit=5&after=3",
    b"/api/v1/migrations/1",
    b"/api/v1/migrations/1/action",
    b"/api/v1/tablets?disk=%2Fd1&limit=10",
    b"/api/v1/tablets/1/explain?dest_disk=/d2",
    b"/api/v1/tasks/1/action",
    b"/api/v1/tasks",
    b"/api/v1/disks",
    b"/api/v1/disks/enable?path=/d1",
    b"/api/v1/trash",
    b"/api/v1/trash/purge",
    b"/api/v1/status",
    b"/metrics",
];

const BODIES: &[&[u8]] = &[
    b"",
    br#"{"tablet_id":1,"schema_hash":2,"dest_disk":"/d2","mode":"auto","priority":"high","reason":"x"}"#,
    br#"{"pause":{}}"#,
    br#"{"abort":null}"#,
    br#"{"name":"n","request":{"kind":"drain","disks":["/d1"],"media":["ssd"]},"dry_run":false}"#,
    br#"{"request":{"kind":"rebalance","medium":"hdd"},"completeness":"partial"}"#,
    br#"{"start":{}}"#,
    br#"{"all":true}"#,
    br#"{"disk":"/d1","entry":"20260101000000.0","tablet_id":1,"dry_run":true}"#,
];

const METHODS: &[&str] = &["GET", "POST", "DELETE", "PUT", "OPTIONS", "get", "PATCH"];
const DIALECTS: &[Dialect] = &[
    Dialect::Documented,
    Dialect::V1_1,
    Dialect::V1_2,
    Dialect::V2_0,
    Dialect::V2_1,
    Dialect::V3_0,
    Dialect::V4_0,
];

#[test]
fn a_request_that_is_almost_right_is_answered() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let node = Arc::new(FakeNode::new());
    let address: SocketAddr = ([127, 0, 0, 1], 8040).into();
    let served: Arc<dyn crate::engine::Contract> = Arc::<FakeNode>::clone(&node);
    let hosts = Hosts::new(address, "");
    let around = Around { access: Access::open(), hosts, transport: Transport::Plain, page: None };
    let router =
        build(App::new(served, Calls::new(8, Duration::from_secs(20)), address, 2), &limits(), around);
    mutator::fuzz("requests", |mutator| {
        node.speak(*mutator.pick(DIALECTS));
        let target = String::from_utf8_lossy(&mutator.mutate(TARGETS)).into_owned();
        let body = if mutator.below(3) == 0 { mutator.mutate(BODIES) } else { mutator.pick(BODIES).to_vec() };
        // What is no URI does not come this far.
        let Ok(uri) = target.parse::<Uri>() else { return };
        if uri.path_and_query().is_none() {
            return;
        }
        let request = Request::builder().method(*mutator.pick(METHODS)).uri(uri);
        let mut request = request
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .unwrap();
        normalize(request.uri_mut());
        request.extensions_mut().insert(Address(address));
        let (status, kind, bytes) = runtime.block_on(async {
            let response = router.clone().oneshot(request).await.unwrap();
            let kind = response.headers().get(header::CONTENT_TYPE).cloned();
            let status = response.status();
            (status, kind, to_bytes(response.into_body(), usize::MAX).await.unwrap())
        });
        let text = String::from_utf8_lossy(&bytes);
        // Doris answers some refusals with 500, and so do we; what panicked says so.
        assert!(!text.contains("failed inside"), "{target}: {status} {text}");
        if kind.is_some_and(|kind| kind == "application/json") && !bytes.is_empty() {
            let json = serde_json::from_slice::<serde_json::Value>(&bytes);
            assert!(json.is_ok(), "{target}: {}", String::from_utf8_lossy(&bytes));
        }
        node.asked();
    });
}

#[test]
fn a_query_string_that_is_read_is_read_the_same_when_written_again() {
    mutator::fuzz("query strings", |mutator| {
        let text = String::from_utf8_lossy(&mutator.mutate(TARGETS)).into_owned();
        let query = Query::parse(text.split_once('?').map(|(_, query)| query));
        let escape = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
        let pairs: Vec<_> =
            query.firsts().iter().map(|(name, value)| (escape(name), escape(value))).collect();
        let written =
            pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
        assert_eq!(Query::parse(Some(&written)).firsts(), query.firsts(), "{text}");
    });
}

#[test]
fn a_body_that_is_understood_is_understood_the_same_when_written_again() {
    fn twice<T: serde::de::DeserializeOwned + serde::Serialize + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
        let Ok(understood) = serde_json::from_slice::<T>(bytes) else { return };
        let written = serde_json::to_vec(&understood).unwrap();
        assert_eq!(serde_json::from_slice::<T>(&written).unwrap(), understood);
    }
    mutator::fuzz("bodies", |mutator| {
        let body = mutator.mutate(BODIES);
        twice::<wire::CreateMigration>(&body);
        twice::<wire::Action>(&body);
        twice::<wire::CreateTask>(&body);
        twice::<wire::TaskAction>(&body);
    });
}
