//! The OpenAPI document as one HTML page, without a script and without anything from another server.

use std::fmt::Write as _;

use serde_json::Value;

const HEAD: &str = r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>tabletd API</title><style>
body{overflow-wrap:anywhere;font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
code,pre{font:13px/1.4 ui-monospace,monospace;background:#f4f4f2;border-radius:3px}code{padding:1px 4px}
pre{padding:.7rem;overflow:auto;white-space:pre-wrap}details{border:1px solid #ddd;border-radius:4px;margin:.4rem 0;padding:.4rem .8rem}
summary{cursor:pointer}b.m{display:inline-block;width:4.5rem}small{color:#666}
table{border-collapse:collapse}td,th{text-align:left;padding:.15rem .8rem .15rem 0;vertical-align:top}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#1b1b1b}code,pre{background:#2a2a2a}
details{border-color:#444}small{color:#aaa}a{color:#8bf}}
</style></head><body>
"#;

/// The page.
pub(super) fn render(document: &Value) -> String {
    let mut page = HEAD.to_owned();
    let info = &document["info"];
    let _ = write!(
        page,
        "<h1>{} <small>API {}</small></h1><p>{}</p><p>The same for programs: <a href=\"openapi.json\">openapi.json</a></p>",
        text(&info["title"]),
        text(&info["version"]),
        text(&info["description"])
    );
    let mut tags: Vec<&str> = operations(document).filter_map(|(.., operation)| tag(operation)).collect();
    tags.sort_unstable();
    tags.dedup();
    for wanted in tags {
        let _ = write!(page, "<h2>{}</h2>", escape(wanted));
        for (path, method, operation) in operations(document) {
            if tag(operation) == Some(wanted) {
                render_operation(&mut page, path, method, operation);
            }
        }
    }
    page.push_str("<h2>Schemas</h2>");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        let name = escape(name);
        let _ = write!(page, "<details id=\"{name}\"><summary><code>{name}</code>");
        if let Some(description) = schema["description"].as_str() {
            let _ = write!(page, " <small>{}</small>", marked_up(&Value::from(description)));
        }
        let _ = write!(page, "</summary><pre>{}</pre></details>", escape(&format!("{schema:#}")));
    }
    page.push_str("</body></html>\n");
    page
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

fn render_operation(page: &mut String, path: &str, method: &str, operation: &Value) {
    let _ = write!(
        page,
        "<details><summary><b class=\"m\">{}</b><code>{}</code> <small>{} &middot; {}</small><br>{}</summary>",
        escape(&method.to_uppercase()),
        escape(path),
        text(&operation["x-execution"]),
        operation["x-role"].as_str().unwrap_or("open to all"),
        marked_up(&operation["summary"]),
    );
    if operation["description"].is_string() {
        let _ = write!(page, "<p>{}</p>", marked_up(&operation["description"]));
    }
    let _ = write!(page, "<pre>{}</pre>", escape(&example(path, method, operation)));
    page.push_str("<table>");
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let needed = if parameter["required"] == true { "" } else { " <small>(optional)</small>" };
        let (name, what) = (text(&parameter["name"]), marked_up(&parameter["description"]));
        let _ = write!(page, "<tr><td><code>{name}</code>{needed}</td><td>{what}</td></tr>");
    }
    page.push_str("</table>");
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    if !body.is_null() {
        let _ = write!(page, "<p>Body: {}</p>", schema_of(body));
    }
    page.push_str("<table>");
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        let content = response["content"].as_object().and_then(|content| content.values().next());
        let schema = content.map(|content| schema_of(&content["schema"])).unwrap_or_default();
        let (status, what) = (escape(status), text(&response["description"]));
        let _ = write!(page, "<tr><th>{status}</th><td>{what}</td><td>{schema}</td></tr>");
    }
    page.push_str("</table></details>");
}

/// A link to the schema, where it has a name.
fn schema_of(schema: &Value) -> String {
    let bare = schema.pointer("/anyOf/0").unwrap_or(schema);
    match bare["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        Some(name) => format!("<a href=\"#{0}\"><code>{0}</code></a>", escape(name)),
        None => bare["type"].as_str().map(escape).unwrap_or_default(),
    }
}

/// The request as a command line: what has to be said, with the names of what is to be filled in.
fn example(path: &str, method: &str, operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let needed = parameters.filter(|one| one["required"] == true && one["in"] == "query");
    let needed: Vec<_> =
        needed.filter_map(|one| one["name"].as_str()).map(|name| format!("{name}=...")).collect();
    let query = if needed.is_empty() { String::new() } else { format!("?{}", needed.join("&")) };
    let verb = if method == "get" { String::new() } else { format!(" -X {}", method.to_uppercase()) };
    let body = if operation["requestBody"].is_null() {
        ""
    } else {
        " -H 'Content-Type: application/json' -d '{...}'"
    };
    let token =
        if operation["x-role"].is_string() { " -H \"Authorization: Bearer $TABLETD_TOKEN\"" } else { "" };
    format!("curl{verb} \"http://127.0.0.1:8040{path}{query}\"{token}{body}")
}

/// Text in which backticks mark code, as the comments in the source have it.
fn marked_up(value: &Value) -> String {
    let parts = value.as_str().unwrap_or_default().split('`').map(escape).enumerate();
    parts.map(|(at, part)| if at % 2 == 1 { format!("<code>{part}</code>") } else { part }).collect()
}

fn text(value: &Value) -> String {
    escape(value.as_str().unwrap_or_default())
}

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            other => safe.push(other),
        }
    }
    safe
}
