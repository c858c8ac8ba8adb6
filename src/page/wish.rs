//! What somebody wishes to be planned, read from the form's own address: as the API is asked for it, and as `tabletctl` is.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::{Map, Value, json};

use crate::api::wire::Disk;

/// The kinds of plans, each with what its link says.
pub(super) const KINDS: [(&str, &str); 3] =
    [("drain", "Empty a disk"), ("rebalance", "Even out the disks"), ("move", "Move selected tablets")];

/// A destination that is a medium and no disk: `medium:SSD`.
pub(super) const ANY_OF: &str = "medium:";

/// A wish that can be sent.
pub(super) struct Wish {
    /// What is to be planned.
    pub(super) request: Value,
    /// How, whatever it is: `completeness`, `replan`, `priority`, `rate_bytes_per_sec`.
    pub(super) how: Map<String, Value>,
    /// The arguments of `tabletctl`.
    pub(super) command: Vec<String>,
    pub(super) name: String,
}

type Query = BTreeMap<String, String>;

fn given<'a>(query: &'a Query, name: &str) -> &'a str {
    query.get(name).map_or("", |value| value.trim())
}

/// The kind that is asked for.
pub(super) fn kind(query: &Query) -> &'static str {
    let asked = given(query, "kind");
    KINDS.iter().map(|(kind, _)| *kind).find(|kind| *kind == asked).unwrap_or("drain")
}

/// What is wished for; `None` while the form has not been filled in.
///
/// # Errors
/// What cannot be read, in words.
pub(super) fn read(query: &Query) -> Result<Option<Wish>, String> {
    let wish = match kind(query) {
        "rebalance" => Some(rebalance(query)?),
        "move" => selected(query)?,
        _ => drain(query),
    };
    wish.map(|wish| with_how(wish, query)).transpose()
}

fn drain(query: &Query) -> Option<Wish> {
    let disk = Some(given(query, "disk")).filter(|disk| !disk.is_empty())?;
    let any = given(query, "media") == "any";
    let mut command = words(&["disk", "drain", disk]);
    command.extend(any.then(|| "--any-medium".to_owned()));
    let request = json!({ "kind": "drain", "disks": [disk], "media": if any { "any" } else { "same" } });
    Some(Wish { request, how: Map::new(), command, name: format!("drain {disk}") })
}

fn rebalance(query: &Query) -> Result<Wish, String> {
    let mut command = words(&["task", "rebalance"]);
    let mut request = json!({ "kind": "rebalance" });
    let medium = given(query, "medium");
    if !medium.is_empty() {
        request["medium"] = json!(medium);
        command.extend(words(&["--medium", medium]));
    }
    for (name, option) in [("start_points", "--start-points"), ("stop_points", "--stop-points")] {
        if let Some(points) = number(query, name)? {
            request[name] = json!(points);
            command.extend([option.to_owned(), points.to_string()]);
        }
    }
    Ok(Wish { request, how: Map::new(), command, name: "rebalance".to_owned() })
}

fn selected(query: &Query) -> Result<Option<Wish>, String> {
    let to = given(query, "to");
    if to.is_empty() {
        return Ok(None);
    }
    let mut command = words(&["task", "move"]);
    let target = match to.strip_prefix(ANY_OF) {
        Some(medium) => {
            command.extend(words(&["--to-medium", medium]));
            json!({ "medium": medium })
        }
        None => {
            command.extend(words(&["--to", to]));
            json!({ "disks": [to] })
        }
    };
    let mut select = Map::new();
    let from = given(query, "from");
    if !from.is_empty() {
        select.insert("disks".to_owned(), json!([from]));
        command.extend(words(&["--from", from]));
    }
    for (field, option) in [("tables", "--table"), ("partitions", "--partition"), ("tablets", "--tablet")] {
        let numbers = numbers(given(query, field))?;
        if !numbers.is_empty() {
            command.extend(numbers.iter().flat_map(|number| [option.to_owned(), number.to_string()]));
            select.insert(field.to_owned(), json!(numbers));
        }
    }
    if select.is_empty() {
        return Err("nothing says which tablets: name a disk, tables, partitions or tablets".to_owned());
    }
    let request = json!({ "kind": "move", "select": select, "to": target });
    Ok(Some(Wish {
        request,
        how: Map::new(),
        command,
        name: format!("move to {}", to.trim_start_matches(ANY_OF)),
    }))
}

fn with_how(mut wish: Wish, query: &Query) -> Result<Wish, String> {
    let mut put = |name: &str, value: Value, option: &[&str]| {
        wish.how.insert(name.to_owned(), value);
        wish.command.extend(words(option));
    };
    match given(query, "completeness") {
        "what_fits" => put("completeness", json!("what_fits"), &["--what-fits"]),
        _ => put("completeness", json!("all_or_nothing"), &[]),
    }
    if given(query, "replan") == "auto" {
        put("replan", json!("auto"), &["--replan"]);
    }
    if given(query, "priority") == "high" {
        put("priority", json!("high"), &["--priority", "high"]);
    }
    if let Some(rate) = number(query, "rate_bytes_per_sec")? {
        put("rate_bytes_per_sec", json!(rate), &["--rate-bytes-per-sec", &rate.to_string()]);
    }
    Ok(wish)
}

fn words(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn number(query: &Query, name: &str) -> Result<Option<u64>, String> {
    match given(query, name) {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| no_number(text)),
    }
}

/// Several, separated by commas or blanks.
fn numbers(text: &str) -> Result<Vec<i64>, String> {
    let parts = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|part| !part.is_empty());
    parts.map(|part| part.parse().map_err(|_| no_number(part))).collect()
}

fn no_number(text: &str) -> String {
    format!("{} is no whole number", crate::model::quoted(text))
}

/// The form that asks for it.
pub(super) fn form(query: &Query, disks: &[Disk], may: bool) -> Markup {
    let kind = kind(query);
    let given = |name| given(query, name);
    html! {
        p.tabs {
            @for (one, label) in KINDS {
                a.tab href=(format!("/ui/tasks/plan?kind={one}")) aria-current=[(one == kind).then_some("true")] { (label) }
            }
        }
        form.filters method="get" action="/ui/tasks/plan" {
            input type="hidden" name="kind" value=(kind);
            @match kind {
                "rebalance" => {
                    (medium("medium", "Disks of", "each medium", given("medium")))
                    (count("start_points", "Begin beyond", "10", given("start_points")))
                    (count("stop_points", "points from the mean, end within", "5", given("stop_points")))
                }
                "move" => {
                    (choice("from", "On", Some("any disk"), disks, given("from")))
                    (list("tablets", "Tablets", given("tablets")))
                    (list("tables", "Tables", given("tables")))
                    (list("partitions", "Partitions", given("partitions")))
                    (destination(disks, given("to")))
                }
                _ => {
                    (choice("disk", "Empty the disk", None, disks, given("disk")))
                    label { input type="checkbox" name="media" value="any" checked[given("media") == "any"]; " onto other media too" }
                }
            }
            label { input type="checkbox" name="completeness" value="what_fits" checked[given("completeness") == "what_fits"]; " also when not all of it can be done" }
            label { input type="checkbox" name="replan" value="auto" checked[given("replan") == "auto"]; " plan anew what meets a full or lost disk" }
            label { input type="checkbox" name="priority" value="high" checked[given("priority") == "high"]; " before other moves" }
            @if may { button type="submit" { "Plan" } }
            @else { button type="button" disabled title="needs the role operator" { "Plan" } }
        }
    }
}

/// Where to: a disk, or any of a medium.
pub(super) fn destination(disks: &[Disk], chosen: &str) -> Markup {
    html! {
        label for="to" { "To" }
        select id="to" name="to" {
            @for disk in disks { option value=(disk.path) selected[disk.path == chosen] { (disk.path) } }
            @for medium in ["SSD", "HDD"] {
                @let value = format!("{ANY_OF}{medium}");
                option value=(value) selected[value == chosen] { "the best " (medium) }
            }
        }
    }
}

fn choice(name: &str, label: &str, none: Option<&str>, disks: &[Disk], chosen: &str) -> Markup {
    html! {
        label for=(name) { (label) }
        select id=(name) name=(name) {
            @if let Some(none) = none { option value="" { (none) } }
            @for disk in disks { option value=(disk.path) selected[disk.path == chosen] { (disk.path) } }
        }
    }
}

fn medium(name: &str, label: &str, none: &str, chosen: &str) -> Markup {
    html! {
        label for=(name) { (label) }
        select id=(name) name=(name) {
            option value="" { (none) }
            @for medium in ["SSD", "HDD"] { option value=(medium) selected[medium == chosen] { (medium) } }
        }
    }
}

fn count(name: &str, label: &str, usual: &str, value: &str) -> Markup {
    html! {
        label for=(name) { (label) }
        input.short id=(name) name=(name) type="number" min="1" max="100" placeholder=(usual) value=(value);
    }
}

fn list(name: &str, label: &str, value: &str) -> Markup {
    html! {
        label for=(name) { (label) }
        input id=(name) name=(name) inputmode="numeric" size="12" placeholder="15001, 15002" value=(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(pairs: &[(&str, &str)]) -> Query {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_form_becomes_a_request_and_the_command_that_says_the_same() {
        for (pairs, request, command) in [
            (
                &[("kind", "drain"), ("disk", "/a b")][..],
                json!({ "kind": "drain", "disks": ["/a b"], "media": "same" }),
                "disk drain /a b",
            ),
            (
                &[("disk", "/a"), ("media", "any"), ("completeness", "what_fits"), ("priority", "high")],
                json!({ "kind": "drain", "disks": ["/a"], "media": "any" }),
                "disk drain /a --any-medium --what-fits --priority high",
            ),
            (
                &[("kind", "rebalance"), ("medium", "SSD"), ("stop_points", "3"), ("replan", "auto")],
                json!({ "kind": "rebalance", "medium": "SSD", "stop_points": 3 }),
                "task rebalance --medium SSD --stop-points 3 --replan",
            ),
            (
                &[("kind", "move"), ("to", "/b"), ("tablets", "7, 8  9"), ("from", "/a")],
                json!({ "kind": "move", "select": { "disks": ["/a"], "tablets": [7, 8, 9] }, "to": { "disks": ["/b"] } }),
                "task move --to /b --from /a --tablet 7 --tablet 8 --tablet 9",
            ),
            (
                &[("kind", "move"), ("to", "medium:SSD"), ("tables", "0"), ("rate_bytes_per_sec", "5")],
                json!({ "kind": "move", "select": { "tables": [0] }, "to": { "medium": "SSD" } }),
                "task move --to-medium SSD --table 0 --rate-bytes-per-sec 5",
            ),
        ] {
            let wish = read(&query(pairs)).unwrap().unwrap();
            assert_eq!((wish.request, wish.command.join(" ").as_str()), (request, command));
        }
    }

    #[test]
    fn an_empty_form_asks_nothing_and_what_is_no_number_is_named() {
        for pairs in [&[][..], &[("kind", "drain")], &[("kind", "move")], &[("kind", "nonsense")]] {
            assert!(read(&query(pairs)).unwrap().is_none(), "{pairs:?}");
        }
        for (pairs, text) in [
            (&[("kind", "rebalance"), ("start_points", "x")][..], "\"x\" is no whole number"),
            (&[("kind", "move"), ("to", "/b"), ("tablets", "7,<b>")], "\"<b>\" is no whole number"),
            (
                &[("kind", "move"), ("to", "/b")],
                "nothing says which tablets: name a disk, tables, partitions or tablets",
            ),
        ] {
            assert_eq!(read(&query(pairs)).err().unwrap(), text);
        }
    }
}
