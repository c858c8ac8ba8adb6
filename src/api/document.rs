//! The OpenAPI 3.1 document: what the handlers say of themselves, and what holds for all of them (who may, the two
//! switches, refusals, whether the work is done when the answer comes). Made once.
//!
//! The document. `api/document` makes OpenAPI from the handlers and adds what all share; roles in it come from the same
//! table that decides.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use utoipa::OpenApi as _;

use super::wire::MIGRATIONS_MAX;
use super::{doris, metrics, v1};
use crate::access::{Need, needed};

#[derive(utoipa::OpenApi)]
#[openapi(paths(metrics::show))]
struct Rest;

/// Requests that are one of several objects, each of which refuses fields it does not know; not seen by the derive.
const CLOSED: [&str; 4] = ["Action", "MoveTarget", "TaskAction", "TaskRequest"];

/// Identifiers have bounds that their types have not.
const SMALLEST: [(&str, u8); 4] = [("MigrationId", 1), ("SchemaHash", 0), ("TabletId", 1), ("TaskId", 1)];

static JSON: LazyLock<String> = LazyLock::new(|| document().to_string());

/// The document as text.
pub(super) fn json() -> &'static str {
    &JSON
}

/// The document.
pub(super) fn document() -> Value {
    let mut described = v1::Described::openapi();
    described.merge(doris::Described::openapi());
    described.merge(Rest::openapi());
    let titles = Titles {
        title: "tabletd",
        summary: "Moves tablets between the disks of one node.",
        server: "This daemon",
    };
    let mut document = describe(described, &titles);
    for (name, minimum) in SMALLEST {
        document["components"]["schemas"][name]["minimum"] = json!(minimum);
    }
    let mut of_tablet = document["components"]["schemas"]["CreateMigration"].clone();
    of_tablet["description"] =
        json!("As CreateMigration; tablet_id may be left out, and must be that of the path.");
    of_tablet["examples"] = json!([{ "dest_disk": "/mnt/disk2", "reason": "disk1 is full" }]);
    if let Some(required) = of_tablet["required"].as_array_mut() {
        required.retain(|name| name != "tablet_id");
    }
    document["components"]["schemas"]["CreateMigrationOfTablet"] = of_tablet;
    document["paths"]["/api/v1/tablets/{tablet_id}/migrations"]["post"]["requestBody"]["content"]["application/json"]
        ["schema"] = json!({ "$ref": "#/components/schemas/CreateMigrationOfTablet" });
    document["components"]["schemas"]["CreateMigrations"]["oneOf"][1]["maxItems"] = json!(MIGRATIONS_MAX);
    for name in CLOSED {
        let variants = document["components"]["schemas"][name]["oneOf"].as_array_mut();
        for variant in variants.into_iter().flatten() {
            variant["additionalProperties"] = json!(false);
        }
    }
    document
}

/// Of which program a document is.
#[derive(Debug, Clone, Copy)]
pub struct Titles {
    pub title: &'static str,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// What serves the document.
    pub server: &'static str,
}

/// The document of what `described` names, with what holds for all of it.
pub fn describe(described: utoipa::openapi::OpenApi, titles: &Titles) -> Value {
    let mut document = serde_json::to_value(described).expect("a document of names and texts serialises");
    document["info"] = json!({
        "title": titles.title,
        "version": v1::VERSION,
        "summary": titles.summary,
        "description": "Lists are {total, data}; refusals are {error_msg, error_code, hint, details}. \
                        pretty and envelope work on every path. x-execution says whether the work is done when the \
                        answer comes (synchronous) or goes on (asynchronous); x-role which role a token needs.",
        "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
    });
    document["servers"] = json!([{ "url": "/", "description": titles.server }]);
    document["components"]["securitySchemes"] = json!({
        "bearer": { "type": "http", "scheme": "bearer" },
        "basic": { "type": "http", "scheme": "basic", "description": "Any user name; the token is the password." },
        "digest": { "type": "http", "scheme": "digest", "description": "SHA-256; the user is the token's name." },
    });
    document["components"]["schemas"]["Enveloped"] = json!({
        "description": "An answer to envelope=true or envelope=content.",
        "type": "object",
        "required": ["status"],
        "properties": { "status": { "type": "integer" } },
        "anyOf": [{ "required": ["envelope"] }, { "required": ["content"] }],
    });
    if let Some(paths) = document["paths"].as_object_mut() {
        for (path, item) in paths {
            for (method, operation) in item.as_object_mut().into_iter().flatten() {
                complete(path, &method.to_uppercase(), operation);
            }
        }
    }
    document
}

/// What every operation has in common.
fn complete(path: &str, method: &str, operation: &mut Value) {
    let is_ours = path.starts_with(v1::PREFIX);
    // The endpoint of Doris asks for more when it is asked to run.
    match needed(method, path, std::iter::empty()) {
        Need::Nothing => operation["security"] = json!([]),
        Need::Role(role) => {
            operation["x-role"] = json!(role);
            operation["security"] = json!([{ "bearer": [] }, { "basic": [] }, { "digest": [] }]);
        }
    }
    let goes_on = operation["responses"].get("202").is_some();
    if operation.get("x-execution").is_none() {
        operation["x-execution"] = json!(if goes_on { "asynchronous" } else { "synchronous" });
    }
    if let Some(responses) = operation["responses"].as_object_mut() {
        if is_ours {
            responses.values_mut().for_each(may_be_enveloped);
            if responses.contains_key("204") {
                let schema = json!({ "$ref": "#/components/schemas/Enveloped" });
                let content = json!({ "application/json": { "schema": schema } });
                let text = "The same, where an envelope is asked for";
                responses.insert("200".to_owned(), json!({ "description": text, "content": content }));
            }
        }
        refusals(responses, is_ours);
    }
    if is_ours {
        let switch = |name: &str, values: &[&str], text: &str| {
            json!({
                "name": name, "in": "query", "required": false, "description": text,
                "schema": { "type": "string", "enum": values },
            })
        };
        let mut parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        parameters.push(switch("pretty", &["true", "false"], "Lay the answer out for people"));
        let text = "Put the HTTP status into the answer, for clients that see nothing else of it";
        parameters.push(switch("envelope", &["true", "false", "content"], text));
        operation["parameters"] = Value::Array(parameters);
    }
}

fn may_be_enveloped(response: &mut Value) {
    if let Some(schema) = response.pointer_mut("/content/application~1json/schema") {
        let bare = schema.take();
        *schema = json!({ "anyOf": [bare, { "$ref": "#/components/schemas/Enveloped" }] });
    }
}

fn refusals(responses: &mut Map<String, Value>, is_ours: bool) {
    for (status, text) in [
        ("401", "It is not known who asks"),
        ("403", "Who asks may not, or a page of another site asks"),
        ("4XX", "Refused: nothing was changed"),
        ("5XX", "Failed, or no answer in time"),
    ] {
        let mut response = json!({ "description": text });
        if is_ours {
            let schema = json!({ "$ref": "#/components/schemas/ErrorBody" });
            response["content"] = json!({ "application/json": { "schema": schema } });
            may_be_enveloped(&mut response);
        }
        responses.entry(status).or_insert(response);
    }
}
