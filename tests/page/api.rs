//! The API's own view: every call has its row with what it does, and its example is one that the daemon would take.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::harness::Node;

/// Of each call: the row, and what the example sends.
const CALLS: &str = "return [...document.querySelectorAll('details.call[id^=call-]')].map((one) => [
    one.querySelector('.method').textContent, one.querySelector('summary code').textContent,
    one.querySelector('.what').textContent.trim(), one.querySelector('pre').textContent])";

#[test]
fn every_call_has_a_row_that_says_what_it_does_and_an_example_that_its_schema_takes() {
    let node = Node::new(1);
    let Some(browser) = Browser::open(&[]) else { return };
    let daemon = node.start();
    let document = daemon.get("/api/v1/openapi.json");
    assert_eq!(document["servers"][0]["url"], "/");
    browser.go(&daemon.url("/"));
    browser.click("//a[normalize-space()='API']");
    browser.sees("openapi.json");
    let mut told = BTreeSet::new();
    for call in browser.script(CALLS).as_array().expect("calls") {
        let text = |at: usize| call[at].as_str().unwrap_or_default().to_owned();
        let (method, path, what, example) = (text(0), text(1), text(2), text(3));
        assert!(
            what.len() > 6 && !what.contains('`') && !what.starts_with(&method),
            "{method} {path}: {what:?}"
        );
        assert!(example.starts_with("curl") && example.contains(&daemon.url(&path)), "{example}");
        let operation = &document["paths"][&path][method.to_lowercase()];
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        if !schema.is_null() {
            let body = example.split(" -d '").nth(1).and_then(|rest| rest.rsplit_once('\''));
            let body: Value = serde_json::from_str(body.map_or("", |(body, _)| body)).expect(&example);
            let whole = json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "allOf": [schema], "components": document["components"] });
            let validator = jsonschema::validator_for(&whole).expect("a schema");
            let wrong: Vec<_> = validator.iter_errors(&body).map(|error| error.to_string()).collect();
            assert!(wrong.is_empty(), "{method} {path}: {body} {wrong:?}");
        }
        told.insert(format!("{method} {path}"));
    }
    let paths = document["paths"].as_object().expect("paths").iter();
    let all = paths.flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flat_map(|item| item.keys());
        methods.map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    assert_eq!(told, all.collect());
    // A row unfolds into its parameters, and a schema is one click away.
    browser.click("//details[@id='call-create_migration']/summary");
    browser.click("//details[@id='call-create_migration']//a[normalize-space()='CreateMigrations']");
    browser.until("the schema is shown", || {
        browser.script("return location.hash") == "#schema-CreateMigrations"
    });
    assert_eq!(
        browser.script("return document.querySelectorAll('.call ul, .call table').length > 100"),
        true
    );
    browser.close();
}
