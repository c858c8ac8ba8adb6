//! The API for people: the OpenAPI document as a view, each call a row that says what it does and unfolds into its
//! parameters, an example with curl, and its answers.

use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Map, Value, json};

use super::action::quoted;
use super::ask::Ask;
use super::markdown;
use super::view::{Section, View};
use crate::api::Refused;

/// Schemas within schemas that an example follows.
const DEPTH_MAX: usize = 6;

/// `GET /ui/api`.
pub(super) async fn show(ask: Ask) -> Response {
    let view = view(&ask).await;
    ask.answer(view)
}

async fn view(ask: &Ask) -> Result<View, Refused> {
    let document: Value = ask.get("/api/v1/openapi.json").await?;
    let mut tags: Vec<&str> = operations(&document).filter_map(|(.., operation)| tag(operation)).collect();
    tags.sort_unstable();
    tags.dedup();
    let schemas = document["components"]["schemas"].as_object();
    let body = html! {
        (markdown::block(text(&document["info"]["description"])))
        p { "The same for programs: " a href="/api/v1/openapi.json" { "openapi.json" }
            " (OpenAPI " (text(&document["openapi"])) ", API " (text(&document["info"]["version"])) ")." }
        p.contents {
            @for tag in &tags { a href=(format!("#of-{tag}")) { (tag) } }
            a href="#schemas" { "schemas" }
        }
        @for wanted in &tags {
            h2 id=(format!("of-{wanted}")) { (wanted) }
            @for (path, method, operation) in operations(&document) {
                @if tag(operation) == Some(*wanted) { (one(ask, &document, path, method, operation)) }
            }
        }
        h2 id="schemas" { "schemas" }
        @for (name, schema) in schemas.into_iter().flatten() {
            details.call id=(format!("schema-{name}")) {
                summary { code { (name) } " " span.what { (markdown::line(text(&schema["description"]))) } }
                pre { code { (format!("{schema:#}")) } }
            }
        }
    };
    Ok(View { title: "API".to_owned(), section: Section::Api, body })
}

fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    document["paths"].as_object().into_iter().flatten().flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flatten();
        methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

fn tag(operation: &Value) -> Option<&str> {
    operation["tags"][0].as_str()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// One call.
fn one(ask: &Ask, document: &Value, path: &str, method: &str, operation: &Value) -> Markup {
    let id = text(&operation["operationId"]);
    let parameters = operation["parameters"].as_array();
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    html! {
        details.call id=(format!("call-{id}")) {
            summary {
                b.method { (method.to_uppercase()) } " " code { (path) } " "
                span.what { (markdown::line(&without_its_name(text(&operation["summary"])))) } " "
                span.small { "(" (operation["x-role"].as_str().unwrap_or("open to all")) ", " (text(&operation["x-execution"])) ")" }
            }
            @if operation["description"].is_string() { (markdown::block(text(&operation["description"]))) }
            pre { code { (example(ask, document, path, method, operation)) } }
            @if let Some(parameters) = parameters.filter(|list| !list.is_empty()) {
                div.wide { table {
                    caption.quiet { "Parameters" }
                    thead { tr { th scope="col" { "Name" } th scope="col" { "In" } th scope="col" { "What" } } }
                    tbody { @for parameter in parameters {
                        tr {
                            th scope="row" { code { (text(&parameter["name"])) } @if parameter["required"] == true { span.small { " needed" } } }
                            td { (text(&parameter["in"])) }
                            td { (markdown::line(text(&parameter["description"]))) }
                        }
                    } }
                } }
            }
            @if !body.is_null() { p { "Body: " (schema(body)) } }
            div.wide { table {
                caption.quiet { "Answers" }
                thead { tr { th scope="col" { "Status" } th scope="col" { "What" } th scope="col" { "Body" } } }
                tbody { @for (status, answer) in operation["responses"].as_object().into_iter().flatten() {
                    tr {
                        th scope="row" { (status) }
                        td { (markdown::line(text(&answer["description"]))) }
                        td { @if let Some(content) = answer["content"].as_object().and_then(|content| content.values().next()) { (schema(&content["schema"])) } }
                    }
                } }
            } }
        }
    }
}

/// "`POST /tasks`: makes a task" without what stands beside it already.
fn without_its_name(summary: &str) -> String {
    let named = summary.strip_prefix('`').and_then(|rest| rest.split_once('`'));
    let named = named.filter(|(name, _)| name.contains(" /") || name.contains(" ..."));
    let rest = named.and_then(|(_, rest)| rest.strip_prefix(": ").or_else(|| rest.strip_prefix(", ")));
    let mut letters = rest.unwrap_or(summary).chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    first + letters.as_str()
}

/// A link to a schema, where it has a name.
fn schema(schema: &Value) -> Markup {
    let one = the_one(schema);
    match name_of(one) {
        Some(name) => html! { a href=(format!("#schema-{name}")) { code { (name) } } },
        None => html! { (text(&one["type"])) },
    }
}

fn name_of(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next())
}

/// Of several, the first that is more than nothing.
fn the_one(schema: &Value) -> &Value {
    let among = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array());
    let first = among.and_then(|among| among.iter().find(|one| one["type"] != "null"));
    first.map_or(schema, the_one)
}

/// The request as a line for curl; what is to be filled in has the name of what belongs there.
fn example(ask: &Ask, document: &Value, path: &str, method: &str, operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let needed = parameters.filter(|one| one["required"] == true && one["in"] == "query");
    let needed: Vec<_> =
        needed.filter_map(|one| one["name"].as_str()).map(|name| format!("{name}=...")).collect();
    let query = if needed.is_empty() { String::new() } else { format!("?{}", needed.join("&")) };
    let verb = if method == "get" { String::new() } else { format!(" -X {}", method.to_uppercase()) };
    let proves = ask.visitor.token.is_some() && operation["x-role"].is_string();
    let token = if proves { " -H \"Authorization: Bearer $TABLETD_TOKEN\"" } else { "" };
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    let body = match body {
        Value::Null => String::new(),
        body => {
            let body = sample(document, body, 0).to_string();
            format!(" \\\n     -H 'Content-Type: application/json' -d {}", quoted(&body))
        }
    };
    format!("curl{verb} '{}{path}{query}'{token}{body}", ask.visitor.origin)
}

/// A value that a schema takes: its own example, else what it demands and no more.
fn sample(document: &Value, schema: &Value, depth: usize) -> Value {
    let schema = the_one(schema);
    if let Some(name) = name_of(schema) {
        let named = &document["components"]["schemas"][name];
        return if depth < DEPTH_MAX { sample(document, named, depth + 1) } else { Value::Null };
    }
    let said = [&schema["examples"][0], &schema["example"], &schema["const"], &schema["enum"][0]];
    if let Some(said) = said.into_iter().find(|said| !said.is_null()) {
        return said.clone();
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let parts = parts.iter().filter_map(|part| sample(document, part, depth + 1).as_object().cloned());
        return Value::Object(parts.flatten().collect());
    }
    let kind = schema["type"].as_str().or_else(|| {
        schema["type"].as_array()?.iter().find_map(|one| one.as_str().filter(|kind| *kind != "null"))
    });
    match kind {
        Some("object") => {
            let needed = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let fields: Map<_, _> = needed
                .map(|name| (name.to_owned(), sample(document, &schema["properties"][name], depth + 1)))
                .collect();
            Value::Object(fields)
        }
        Some("array") => json!([sample(document, &schema["items"], depth + 1)]),
        Some("integer" | "number") => json!(schema["minimum"].as_i64().unwrap_or(0).max(1)),
        Some("boolean") => json!(true),
        Some("string") => json!("..."),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_what_its_schema_demands_and_follows_names() {
        let document = json!({ "components": { "schemas": {
            "Id": { "type": "integer", "minimum": 1 },
            "Mode": { "type": "string", "enum": ["auto", "stepwise"] },
            "Loop": { "type": "object", "required": ["next"], "properties": { "next": { "$ref": "#/components/schemas/Loop" } } },
        } } });
        let named = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
        for (schema, expected) in [
            (named("Id"), json!(1)),
            (named("Mode"), json!("auto")),
            (json!({ "oneOf": [{ "type": "null" }, named("Id")] }), json!(1)),
            (json!({ "type": ["string", "null"] }), json!("...")),
            (
                json!({ "type": "object", "required": ["a"], "properties": { "a": { "type": "array", "items": named("Id") }, "b": {} } }),
                json!({ "a": [1] }),
            ),
            (
                json!({ "type": "object", "examples": [{ "to": "/mnt/disk2" }] }),
                json!({ "to": "/mnt/disk2" }),
            ),
        ] {
            assert_eq!(sample(&document, &schema, 0), expected);
        }
        assert!(sample(&document, &named("Loop"), 0).is_object(), "it comes to an end");
    }

    #[test]
    fn a_row_does_not_say_its_name_twice() {
        assert_eq!(without_its_name("`GET /tasks`: the list, `oldest` first"), "The list, `oldest` first");
        assert_eq!(without_its_name("`GET /tasks`, by number"), "By number");
        assert_eq!(without_its_name("`queue`: plain"), "`queue`: plain");
        assert_eq!(without_its_name("plain"), "Plain");
    }
}
