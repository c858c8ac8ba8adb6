//! A button, the two command lines that do the same, and what happens when it is pressed: the form becomes a request to
//! the job API, made as the visitor. What cannot be undone is folded away and says first what it does.

use std::fmt::Write as _;

use axum::Form;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde_json::{Map, Value, json};

use super::address::escaped;
use super::ask::Ask;
use super::frame;
use crate::access::Role;
use crate::api::{Refused, Visitor};

/// Before what a button asks for: `/ui/do/POST/api/v1/tasks/7/action`.
const BUTTONS: &str = "/ui/do/";
/// What a button may ask for.
const BEHIND: &str = "/api/v1/";

/// Something that can be asked for.
pub(super) struct Action {
    label: String,
    role: Role,
    method: &'static str,
    path: String,
    body: Value,
    /// The arguments of `tabletctl`.
    command: Vec<String>,
    warning: Option<String>,
    fields: Vec<Field>,
    then: String,
}

/// Something to be filled in.
struct Field {
    /// `text:reason`, `number:seconds`, `flag:accept_older`: what it is and where in the body it goes, with dots.
    name: &'static str,
    label: &'static str,
    value: &'static str,
    /// What there is to choose from; empty where anything may be typed.
    among: Vec<String>,
}

impl Action {
    /// What an operator may ask for, with `POST`; `then` is where the browser goes afterwards.
    pub(super) fn post(label: &str, path: String, body: Value, then: &str) -> Self {
        Self {
            label: label.to_owned(),
            role: Role::Operator,
            method: "POST",
            path,
            body,
            command: Vec::new(),
            warning: None,
            fields: Vec::new(),
            then: then.to_owned(),
        }
    }

    /// With another method.
    pub(super) fn method(self, method: &'static str) -> Self {
        Self { method, ..self }
    }

    /// Needs another role.
    pub(super) fn role(self, role: Role) -> Self {
        Self { role, ..self }
    }

    /// `tabletctl` does the same with these arguments.
    pub(super) fn command(self, arguments: &[&str]) -> Self {
        Self { command: arguments.iter().map(|&argument| argument.to_owned()).collect(), ..self }
    }

    /// Asks first, with what happens then.
    pub(super) fn warn(self, text: &str) -> Self {
        Self { warning: Some(text.to_owned()), ..self }
    }

    /// With something to be filled in.
    pub(super) fn field(mut self, name: &'static str, label: &'static str, value: &'static str) -> Self {
        self.fields.push(Field { name, label, value, among: Vec::new() });
        self
    }

    /// With something to be chosen, the first unless another is.
    pub(super) fn choose(mut self, name: &'static str, label: &'static str, among: Vec<String>) -> Self {
        self.fields.push(Field { name, label, value: "", among });
        self
    }

    /// As HTML, for `visitor`: who may not sees the commands and a button that does nothing.
    pub(super) fn show(&self, visitor: &Visitor) -> Markup {
        let may = visitor.role >= self.role;
        let id = self.id();
        html! {
            div.action {
                @if !may {
                    button type="button" disabled title=(format!("needs the role {}", self.role)) { (self.label) }
                } @else if self.warning.is_some() || !self.fields.is_empty() {
                    details.ask id=(format!("ask-{id}")) {
                        summary { (self.label) "…" }
                        (self.form(visitor, &id))
                    }
                } @else {
                    (self.form(visitor, &id))
                }
                details.lines id=(format!("lines-{id}")) {
                    summary aria-label=(format!("{}: as commands", self.label)) { "$" }
                    pre { code { (self.line()) "\n\n" (self.curl(visitor)) } }
                }
            }
        }
    }

    fn form(&self, visitor: &Visitor, id: &str) -> Markup {
        html! {
            form method="post" action=(format!("{BUTTONS}{}{}", self.method, self.path)) {
                input type="hidden" name="csrf" value=(visitor.csrf);
                input type="hidden" name="json" value=(self.body.to_string());
                input type="hidden" name="then" value=(self.then);
                @if let Some(text) = &self.warning { p { (text) } }
                @for field in &self.fields {
                    @let input = format!("{id}-{}", field.name);
                    @match field.name.split_once(':').map_or("text", |(kind, _)| kind) {
                        "flag" => p { input id=(input) name=(field.name) type="checkbox" value="true"; " " label for=(input) { (field.label) } },
                        _ if !field.among.is_empty() => p {
                            label for=(input) { (field.label) } " "
                            select id=(input) name=(field.name) { @for one in &field.among { option value=(one) { (one) } } }
                        },
                        kind => p {
                            label for=(input) { (field.label) } " "
                            input id=(input) name=(field.name) value=(field.value) type=(if kind == "number" { "number" } else { "text" }) min=[(kind == "number").then_some("0")] maxlength="1000";
                        }
                    }
                }
                button id=(id) type="submit" class=[self.warning.is_some().then_some("grave")] {
                    @if self.warning.is_some() { "Yes: " (self.label.to_lowercase()) } @else { (self.label) }
                }
            }
        }
    }

    /// The same at every look, so that what is open stays open.
    fn id(&self) -> String {
        let text = format!("{} {} {} {}", self.label, self.method, self.path, self.body);
        format!("do-{:08x}", crc32fast::hash(text.as_bytes()))
    }

    /// The line of `tabletctl`.
    pub(super) fn line(&self) -> String {
        if self.command.is_empty() {
            return "(tabletctl has no verb for this)".to_owned();
        }
        self.command.iter().fold("tabletctl".to_owned(), |line, word| format!("{line} {}", quoted(word)))
    }

    /// The line of `curl`.
    fn curl(&self, visitor: &Visitor) -> String {
        let mut line =
            format!("curl -X {} {}", self.method, quoted(&format!("{}{}", visitor.origin, self.path)));
        if visitor.token.is_some() {
            line.push_str(" -H \"Authorization: Bearer $TABLETD_TOKEN\"");
        }
        if !self.body.is_null() {
            let _ =
                write!(line, " -H 'Content-Type: application/json' -d {}", quoted(&self.body.to_string()));
        }
        line
    }
}

/// A word as a shell takes it for one.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// `POST /ui/do/{method}{path}`: asks the API for what stands behind the button.
pub(super) async fn carry_out(ask: Ask, uri: Uri, form: Form<Vec<(String, String)>>) -> Response {
    let form = form.0;
    let field = |name: &str| form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let (method, path) = behind(uri.path());
    if !path.starts_with(BEHIND) || !["POST", "PATCH", "DELETE"].contains(&method) {
        return (StatusCode::NOT_FOUND, "no such button").into_response();
    }
    let body = match body_of(field("json"), &form) {
        Ok(body) => body,
        Err(text) => return (StatusCode::BAD_REQUEST, text).into_response(),
    };
    let answer: Result<Value, Refused> = ask.inside.send(&ask.visitor, method, path, &body).await;
    match answer {
        Ok(answer) => go_on(field("then"), &answer, &word_for(method, path, &body)),
        Err(refused) => ask.html(refused.status, &frame::trouble(&refused)),
    }
}

fn behind(path: &str) -> (&str, &str) {
    let rest = path.strip_prefix(BUTTONS).unwrap_or_default();
    rest.find('/').map_or((rest, ""), |at| rest.split_at(at))
}

/// The button's own body with what was filled in.
fn body_of(json: &str, form: &[(String, String)]) -> Result<Value, String> {
    let mut body = if json.is_empty() {
        Value::Null
    } else {
        serde_json::from_str(json).map_err(|error| format!("the button's own request: {error}"))?
    };
    for (name, text) in form {
        let Some((kind, place)) = name.split_once(':') else { continue };
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        let value = match kind {
            "text" => json!(text),
            "flag" => json!(true),
            "number" => json!(
                text.parse::<u64>()
                    .map_err(|_| format!("{} is no whole number", crate::model::quoted(text)))?
            ),
            _ => continue,
        };
        put(&mut body, place, value);
    }
    Ok(body)
}

fn put(body: &mut Value, place: &str, value: Value) {
    let (name, rest) = place.split_once('.').map_or((place, None), |(name, rest)| (name, Some(rest)));
    if !body.is_object() {
        *body = Value::Object(Map::new());
    }
    match rest {
        None => body[name] = value,
        Some(rest) => put(&mut body[name], rest, value),
    }
}

/// What was asked for, in a word.
fn word_for(method: &str, path: &str, body: &Value) -> String {
    let last = path.rsplit('/').next().unwrap_or_default();
    match (method, last) {
        ("DELETE", _) => "deleted".to_owned(),
        (_, "action") => body.as_object().and_then(|body| body.keys().next()).cloned().unwrap_or_default(),
        (_, last) => last.to_owned(),
    }
}

/// Back to where the button was, or on to what it began.
fn go_on(then: &str, answer: &Value, word: &str) -> Response {
    let id = answer["id"].as_u64().map(|id| id.to_string());
    let place = then.replace("{id}", id.as_deref().unwrap_or_default());
    // Only ever to this service: two slashes, or a backslash, would name another.
    let is_here = place.starts_with('/') && !place.starts_with("//") && !place.contains('\\');
    let place = if is_here { place } else { "/".to_owned() };
    let (path, before) = place.split_once('?').unwrap_or((&place, ""));
    let kept: Vec<_> =
        before.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("done=")).collect();
    let word = escaped(word);
    let query = kept.iter().map(|pair| (*pair).to_owned()).chain([format!("done={word}")]);
    let place = format!("{path}?{}", query.collect::<Vec<_>>().join("&"));
    let place = HeaderValue::try_from(place).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_becomes_the_body_that_a_script_would_send() {
        let form = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        for (json, pairs, expected) in [
            (r#"{"pause":{}}"#, &[("csrf", "x"), ("then", "/")][..], json!({"pause": {}})),
            ("", &[("text:reason", " tidy ")], json!({"reason": "tidy"})),
            ("null", &[("number:extend.seconds", "60")], json!({"extend": {"seconds": 60}})),
            (
                r#"{"a":1}"#,
                &[("flag:accept_older", "true"), ("text:to", "")],
                json!({"a": 1, "accept_older": true}),
            ),
        ] {
            assert_eq!(body_of(json, &form(pairs)).unwrap(), expected);
        }
        assert!(body_of("{", &[]).is_err());
        assert!(body_of("", &form(&[("number:seconds", "-1")])).is_err());
    }

    #[test]
    fn words_of_a_command_line_are_words_whatever_is_in_them() {
        for (word, text) in [
            ("/mnt/disk1", "/mnt/disk1"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's $(rm)", r"'it'\''s $(rm)'"),
            ("{\"pause\":{}}", "'{\"pause\":{}}'"),
        ] {
            assert_eq!(quoted(word), text);
        }
    }

    #[test]
    fn after_a_button_the_browser_stays_here() {
        let place = |then: &str| {
            let response = go_on(then, &json!({"id": 7}), "pause");
            response.headers()[header::LOCATION].to_str().unwrap().to_owned()
        };
        assert_eq!(place("/ui/tasks/{id}"), "/ui/tasks/7?done=pause");
        assert_eq!(place("/ui/tasks?kind=drain&done=stop"), "/ui/tasks?kind=drain&done=pause");
        for elsewhere in
            ["//evil.example", "https://evil.example", "/\\evil.example", "", "/\r\nSet-Cookie: a=b"]
        {
            let place = place(elsewhere);
            assert!(place == "/" || place == "/?done=pause", "{place}");
        }
    }

    #[test]
    fn what_stands_behind_a_button_is_its_method_and_path() {
        assert_eq!(behind("/ui/do/POST/api/v1/tasks/7/action"), ("POST", "/api/v1/tasks/7/action"));
        assert_eq!(behind("/ui/do/POST"), ("POST", ""));
    }
}
