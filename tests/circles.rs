//! No two files of `src` need each other: a reader can begin anywhere and only ever goes down.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A file as a path of names: `src/engine/heal/mod.rs` is `engine/heal`.
type Room = Vec<String>;
type Graph = BTreeMap<Room, BTreeSet<Room>>;

/// The coordinator is one large circle: to be untied in storeys.
const NOT_YET: &str = "engine";

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

fn graph(files: &BTreeMap<Room, String>) -> Graph {
    let needs = |room: &Room, text: &String| {
        paths_in(&code_of(text)).iter().filter_map(|path| room_of(path, room, files)).collect()
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

#[test]
fn no_two_files_need_each_other() {
    let mut files = BTreeMap::new();
    source_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &Room::new(), &mut files);
    assert!(files.len() > 200, "{}", files.len());
    let found = circles(&graph(&files));
    let of_engine =
        |circle: &BTreeSet<String>| circle.iter().all(|room| room.split('/').next() == Some(NOT_YET));
    let outside: Vec<_> = found.iter().filter(|circle| !of_engine(circle)).collect();
    assert!(outside.is_empty(), "files that need each other: {outside:?}");
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
