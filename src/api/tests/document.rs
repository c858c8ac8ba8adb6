//! The OpenAPI document and the router are of one mind. Answers of a real daemon are held to it in `tests/daemon`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::http::start;
use crate::api::document::document;
use crate::api::router::paths;

pub(super) fn documented() -> Vec<(String, String, Value)> {
    let document = document();
    let items = document["paths"].as_object().unwrap();
    let operations = items.iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (path.clone(), method.to_uppercase(), operation.clone()))
    });
    operations.collect()
}

#[test]
fn every_route_is_documented_and_every_documented_path_is_a_route() {
    let served: BTreeSet<String> = paths().into_iter().collect();
    let told: BTreeSet<String> = documented().into_iter().map(|(path, ..)| path).collect();
    assert_eq!(served, told);
}

#[test]
fn every_path_answers_the_documented_methods_and_no_others() {
    let server = start();
    for path in paths() {
        let target = path.replace(['{', '}'], "");
        let reply = server.request("BREW", &target, "", "");
        assert_eq!(reply.status, 405, "{target}");
        let allowed: BTreeSet<String> = reply
            .header("allow")
            .unwrap()
            .split(',')
            .map(|method| method.trim().to_owned())
            .filter(|method| method != "HEAD")
            .collect();
        let told: BTreeSet<String> =
            documented().into_iter().filter(|(of, ..)| *of == path).map(|(_, method, _)| method).collect();
        assert_eq!(allowed, told, "{path}");
    }
    assert!(server.node.asked().is_empty());
}

#[test]
fn every_operation_says_what_it_is_and_has_a_name_of_its_own() {
    let mut names = BTreeSet::new();
    for (path, method, operation) in documented() {
        let text = |name: &str| operation[name].as_str().unwrap_or_default().to_owned();
        assert!(["synchronous", "asynchronous"].contains(&text("x-execution").as_str()), "{method} {path}");
        assert!(!text("summary").is_empty(), "{method} {path} has no summary");
        assert!(names.insert(text("operationId")), "{method} {path}: {} twice", text("operationId"));
        assert!(!operation["security"].is_null(), "{method} {path}");
    }
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(to)) = fields.get("$ref") {
                    found.insert(to.clone());
                }
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for reference in found {
        let at = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(at).is_some(), "{reference}");
    }
    assert_eq!(document["openapi"], "3.1.0");
}

#[test]
fn the_document_is_served_as_it_is_and_people_are_sent_to_its_view() {
    let server = start();
    assert_eq!(server.get("/api/v1/openapi.json").json(), document());
    let reply = server.get("/api/v1/docs");
    assert_eq!((reply.status, reply.header("location")), (303, Some("/ui/api")));
}
