//! No two files of `src` need each other: a reader can begin anywhere and only ever goes down.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A file as a path of names: `src/engine/heal/mod.rs` is `engine/heal`.
type Room = Vec<String>;
type Graph = BTreeMap<Room, BTreeSet<Room>>;

/// The engine, from the ground up: a room names only what stands before it here, or beside it in its own storey.
const STOREYS: &[&str] = &[
    "view",
    "parts",
    "node",
    "damage",
    "ledger",
    "operations",
    "tidy",
    "look",
    "line",
    "schedule",
    "ask",
    "tasks",
    "recover",
    "tend",
    "heal",
    "lost",
    "start",
    "contract",
    "spelling",
    "front",
];
/// Lines that the engine's node may have: what grows there belongs in a part or in a room.
const NODE_LINES_MAX: usize = 250;

fn source_files(dir: &Path, at: &Room, files: &mut BTreeMap<Room, String>) {
    for entry in std::fs::read_dir(dir).expect("readable") {
        let path = entry.expect("readable").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("text").to_owned();
        let mut room = at.clone();
        if !matches!(name.as_str(), "mod" | "lib") {
            room.push(name);
        }
        if path.is_dir() {
            source_files(&path, &room, files);
        } else {
            files.insert(room, std::fs::read_to_string(&path).expect("readable"));
        }
    }
}

/// What a compiler would see, but for the tests at the end.
fn code_of(text: &str) -> String {
    let lines = text.lines().take_while(|line| *line != "mod tests {");
    lines.filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// `a::{b, c::{d, e}}` as `a::b`, `a::c::d`, `a::c::e`.
fn spelled_out(path: &str) -> Vec<String> {
    let path = path.trim();
    let Some((before, group)) = path.split_once('{') else {
        return vec![path.split(" as ").next().unwrap_or_default().trim().to_owned()];
    };
    let group = group.trim_end().strip_suffix('}').unwrap_or(group);
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().expect("one").push(c);
    }
    let named = parts.iter().filter(|part| !part.trim().is_empty());
    named.flat_map(|part| spelled_out(&format!("{before}{}", part.trim()))).collect()
}

/// Paths that begin with `crate`, `super` or `self`, in imports and in the code. What a room hands on from below itself
/// (`pub use`) is no need of its own.
fn paths_in(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = String::new();
    for statement in code.split_inclusive(';') {
        let trimmed = statement.trim_start();
        let hands_on = trimmed.starts_with("pub use") || trimmed.starts_with("pub(");
        match trimmed.split_once("use ").filter(|(before, _)| before.trim().is_empty() || hands_on) {
            Some((_, path)) if !hands_on => found.extend(spelled_out(path.trim_end_matches(';'))),
            Some(_) if trimmed.starts_with("pub use") => {}
            _ => rest.push_str(statement),
        }
    }
    for word in rest.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')) {
        // Not the word alone, as in `pub(super)`.
        if word.split_once("::").is_some_and(|(first, _)| matches!(first, "crate" | "super" | "self")) {
            found.push(word.to_owned());
        }
    }
    found
}

/// The deepest room on the way of a path.
fn room_of(path: &str, from: &Room, files: &BTreeMap<Room, String>) -> Option<Room> {
    let mut names = path.split("::").peekable();
    let mut room = match *names.peek()? {
        "crate" => Room::new(),
        // `super`, `self`, or a room below this one by its name alone.
        _ => from.clone(),
    };
    while let Some(name) = names.next_if(|name| matches!(*name, "crate" | "super" | "self")) {
        if name == "super" {
            room.pop();
        }
    }
    for name in names {
        room.push(name.to_owned());
        if !files.contains_key(&room) {
            room.pop();
            break;
        }
    }
    (!room.is_empty() && room != *from && files.contains_key(&room)).then_some(room)
}

/// Rooms right below this one that its code names by their names alone.
fn children_in(code: &str, from: &Room, files: &BTreeMap<Room, String>) -> Vec<Room> {
    let own = code.split_inclusive(';').filter(|statement| {
        let statement = statement.trim_start();
        !(statement.starts_with("pub") && statement.contains(" use "))
    });
    let child = |word: &str| {
        let room = [from.as_slice(), &[word.split_once("::")?.0.to_owned()]].concat();
        files.contains_key(&room).then_some(room)
    };
    let words = own.flat_map(|code| code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')));
    words.filter_map(child).collect()
}

fn graph(files: &BTreeMap<Room, String>) -> Graph {
    let needs = |room: &Room, text: &String| {
        let code = code_of(text);
        let mut needs: BTreeSet<Room> =
            paths_in(&code).iter().filter_map(|path| room_of(path, room, files)).collect();
        // Elsewhere a folder may list its rooms for a macro, as the API's document does.
        if room.first().is_some_and(|first| first == "engine") {
            needs.extend(children_in(&code, room, files));
        }
        needs
    };
    files.iter().map(|(room, text)| (room.clone(), needs(room, text))).collect()
}

fn reached(graph: &Graph, from: &Room) -> BTreeSet<Room> {
    let (mut seen, mut next) = (BTreeSet::new(), vec![from.clone()]);
    while let Some(room) = next.pop() {
        for needed in graph.get(&room).into_iter().flatten() {
            if seen.insert(needed.clone()) {
                next.push(needed.clone());
            }
        }
    }
    seen
}

/// Each circle, as the rooms that all reach each other.
fn circles(graph: &Graph) -> BTreeSet<BTreeSet<String>> {
    let reach: BTreeMap<&Room, BTreeSet<Room>> =
        graph.keys().map(|room| (room, reached(graph, room))).collect();
    let mut found = BTreeSet::new();
    for (room, reachable) in &reach {
        if reachable.contains(*room) {
            let circle = reachable.iter().filter(|other| reach[other].contains(*room));
            found.insert(circle.map(|room| room.join("/")).collect());
        }
    }
    found
}

fn all_files() -> BTreeMap<Room, String> {
    let mut files = BTreeMap::new();
    source_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &Room::new(), &mut files);
    assert!(files.len() > 200, "{}", files.len());
    files
}

#[test]
fn no_two_files_need_each_other() {
    let found = circles(&graph(&all_files()));
    assert!(found.is_empty(), "files that need each other: {found:?}");
}

#[test]
fn the_engine_stands_in_storeys() {
    let storey = |room: &Room| match room.as_slice() {
        [first, second, ..] if first == "engine" => {
            Some(STOREYS.iter().position(|storey| storey == second).unwrap_or_else(|| panic!("{second}")))
        }
        _ => None,
    };
    let (files, mut upward) = (all_files(), Vec::new());
    for (room, needs) in &graph(&files) {
        let Some(own) = storey(room) else { continue };
        let above = needs.iter().filter(|need| {
            // The engine's own root is above them all.
            need.as_slice() == ["engine"] || storey(need).is_some_and(|storey| storey > own)
        });
        upward.extend(above.map(|need| format!("{} names {}", room.join("/"), need.join("/"))));
    }
    assert!(upward.is_empty(), "{}", upward.join("\n"));
    let node = &files[&vec!["engine".to_owned(), "node".to_owned()]];
    assert!(node.lines().count() <= NODE_LINES_MAX, "node.rs has {} lines", node.lines().count());
}

#[test]
fn the_documented_storeys_are_the_ones_in_force() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md");
    let text = std::fs::read_to_string(path).expect("readable");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `engine/")?.split_once('`'));
    let documented: Vec<_> = rows.map(|(storey, _)| storey.to_owned()).collect();
    assert_eq!(documented, STOREYS, "the table of storeys in ARCHITECTURE.md, from the ground up");
}

#[test]
fn the_finder_finds_a_circle() {
    let file = |name: &str, text: &str| (vec![name.to_owned()], text.to_owned());
    let files = BTreeMap::from([
        file("a", "use super::{b::{X, Y as Z}, c};\nfn f() {}"),
        file("b", "fn f() { super::c::g(); }\npub use self::d::D;\n// crate::a"),
        file("c", "#[cfg(test)]\nmod tests {\nuse super::super::a::f;\n}"),
    ]);
    assert_eq!(circles(&graph(&files)), BTreeSet::new());
    let mut tied = files;
    tied.insert(vec!["c".to_owned()], "use crate::a::f;".to_owned());
    let all = ["a", "b", "c"].map(str::to_owned);
    assert_eq!(circles(&graph(&tied)), BTreeSet::from([BTreeSet::from(all)]));
}

#[test]
fn a_room_of_the_engine_that_is_named_by_its_name_alone_is_seen() {
    let file =
        |name: &[&str], text: &str| (name.iter().map(|name| (*name).to_owned()).collect(), text.to_owned());
    let files = BTreeMap::from([
        file(&["engine"], "mod a;\npub use a::f;\nfn g() { a::f() }"),
        file(&["engine", "a"], "use crate::engine::g;"),
    ]);
    let both = ["engine", "engine/a"].map(str::to_owned);
    assert_eq!(circles(&graph(&files)), BTreeSet::from([BTreeSet::from(both)]));
}
