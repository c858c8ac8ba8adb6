//! House rules as tests: imports point one way, rooms stay small, and the documents say what the code says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Which modules each module may name; the table of ARCHITECTURE.md. Everything else is a sideways or an upward import.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("fault", &[]),
    ("model", &[]),
    ("replace", &[]),
    ("access", &["replace"]),
    ("service", &[]),
    ("rules", &["model"]),
    ("config", &["model", "replace"]),
    ("doris", &["model"]),
    ("storage", &["model", "fault", "doris"]),
    ("transfer", &["model", "rules", "storage", "fault"]),
    ("journal", &["model"]),
    ("engine", &["model", "rules", "config", "storage", "transfer", "journal", "fault"]),
    // Moves between the roots of a stopped Doris backend: the storage, the copy and the journal, without the daemon's engine.
    ("maintenance", &["model", "rules", "config", "doris", "storage", "transfer", "journal", "fault"]),
    // The API's node over Doris roots. Of the engine only the values its front door shows; the moves are maintenance's.
    ("maintenance_daemon", &["model", "rules", "config", "maintenance", "journal", "engine"]),
    ("logging", &["model", "storage"]),
    ("traces", &["model", "engine"]),
    // Of the engine only its front door: `engine::<Name>`, never a room of it (those are private).
    ("api", &["model", "access", "config", "storage", "engine", "logging"]),
    // Asks the API as a visitor and sees nothing behind it; what the API answers with is made of the model's nouns.
    ("page", &["model", "access", "api"]),
    ("store", &["model"]),
    ("members", &["model", "rules", "config", "api::wire"]),
    // The fleet has the daemon's door and its manners, and nothing that is behind them.
    (
        "fleet",
        &[
            "model",
            "rules",
            "store",
            "members",
            "config",
            "api::kit",
            "api::wire",
            "api::Server",
            "api::Stopped",
        ],
    ),
    // The command line sees the API's wire types, and for offline work a root and the copy engine; never the engine.
    (
        "cli",
        &[
            "model",
            "access",
            "config",
            "storage",
            "transfer",
            "doris",
            "maintenance",
            "service",
            "api::wire",
            // For its page of the manual.
            "fleet::Arguments",
        ],
    ),
];

/// Lines a room may have. A larger one wants splitting by subject.
const LINES_MAX: usize = 450;

/// Lines a function may have, from its name to its brace; those of tests too.
const FUNCTION_LINES_MAX: usize = 70;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).expect("readable").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// `crate::a::b` and `crate::{a::b, c}` as `a::b`, `c`; only the first two parts matter.
fn imports(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let code: String =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let name_at = |text: &str| {
            text.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':').collect::<String>()
        };
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0_i32;
            let mut start = true;
            for (offset, c) in list.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => start = true,
                    c if start && c.is_alphabetic() => {
                        found.insert(name_at(&list[offset..]));
                        start = false;
                    }
                    _ => {}
                }
            }
        } else {
            found.insert(name_at(rest));
        }
    }
    found
}

#[test]
fn imports_point_one_way() {
    let table: BTreeMap<&str, &[&str]> = MAY_IMPORT.iter().copied().collect();
    let mut wrong = Vec::new();
    for (module, allowed) in &table {
        let dir = root().join("src").join(module);
        let files = if dir.is_dir() { rust_files(&dir) } else { vec![dir.with_extension("rs")] };
        for file in files {
            let text = std::fs::read_to_string(&file).expect("readable");
            for import in imports(&text) {
                let top = import.split("::").next().unwrap_or_default();
                let is_module = table.contains_key(top);
                let fine = top == *module
                    || allowed.iter().any(|ok| {
                        import == *ok || import.strip_prefix(ok).is_some_and(|rest| rest.starts_with("::"))
                    });
                if is_module && !fine {
                    wrong.push(format!("{} names crate::{import}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_has_a_row_in_the_table() {
    let lib = std::fs::read_to_string(root().join("src/lib.rs")).expect("readable");
    let modules: BTreeSet<_> =
        lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let rows: BTreeSet<_> = MAY_IMPORT.iter().map(|(module, _)| *module).collect();
    assert_eq!(modules, rows);
}

#[test]
fn the_import_finder_sees_groups_and_paths() {
    let text = "use crate::model::{A, B};\nuse crate::{engine::X, api};\nlet y = crate::rules::z();\n// crate::cli\n";
    let found: Vec<_> = imports(text).into_iter().collect();
    assert_eq!(found, ["api", "engine::X", "model::", "rules::z"]);
}

#[test]
fn rooms_open_with_what_they_are_for_and_stay_small() {
    let mut wrong = Vec::new();
    for file in rust_files(&root().join("src")) {
        let text = std::fs::read_to_string(&file).expect("readable");
        let lines = text.lines().count();
        if lines > LINES_MAX {
            wrong.push(format!("{}: {lines} lines, at most {LINES_MAX}", file.display()));
        }
        if !text.starts_with("//! ") {
            wrong.push(format!("{}: does not say what it is for", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The name of the function that a line begins.
fn function_begun(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    let of_it = |word: &&str| {
        matches!(*word, "pub" | "const" | "async" | "unsafe" | "extern" | "\"C\"")
            || word.starts_with("pub(")
            || word.ends_with(')') && word.starts_with("crate")
    };
    let first = words.by_ref().find(|word| !of_it(word))?;
    let name = words.next().filter(|_| first == "fn")?;
    name.split(|c: char| !(c.is_alphanumeric() || c == '_')).next()
}

/// Every function of a file that is formatted as rustfmt does it: its name, the number of its first line and how many
/// lines it has.
fn functions(text: &str) -> Vec<(&str, usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = function_begun(line) else { continue };
        let ends = |other: &&&str| {
            indent(other) == indent(line) && (other.trim_start().starts_with('}') || other.ends_with(';'))
                || (other.ends_with('}') && std::ptr::eq(**other, *line))
        };
        let length = lines[at..].iter().position(|other| ends(&other)).map_or(1, |last| last + 1);
        found.push((name, at + 1, length));
    }
    found
}

#[test]
fn functions_stay_short() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for file in rust_files(&root().join("src")) {
        let text = std::fs::read_to_string(&file).expect("readable");
        for (name, line, length) in functions(&text) {
            seen += 1;
            if length > FUNCTION_LINES_MAX {
                let place = file.display();
                wrong
                    .push(format!("{place}:{line}: {name} has {length} lines, at most {FUNCTION_LINES_MAX}"));
            }
        }
    }
    assert!(seen > 5_000, "{seen} functions");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_finder_of_functions_sees_every_form() {
    let text = "fn a() {\n    pub(in crate::x) async fn b(\n        c: u8,\n    ) -> u8 {\n        { 1 }\n    }\n}\n\
                    fn c();\n    pub const fn d() -> u8 { 2 }\n// fn e() {\n";
    assert_eq!(functions(text), [("a", 1, 7), ("b", 2, 5), ("c", 8, 1), ("d", 9, 1)]);
}

/// Loops that nap or spin until something is so, in functions that name no end of it.
fn polls_without_a_deadline(text: &str) -> Vec<usize> {
    const NAPS: [&str; 4] = ["sleep(", "yield_now(", "park_timeout(", "spin_loop("];
    const ENDS: [&str; 6] = ["deadline", "Instant", "elapsed", "PATIENCE", "patience", "timeout"];
    let lines: Vec<&str> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut found = Vec::new();
    for (_, begun, length) in functions(text) {
        let body = &lines[begun - 1..begun - 1 + length];
        if ENDS.iter().any(|end| body.iter().any(|line| line.contains(end))) {
            continue;
        }
        for (at, line) in body.iter().enumerate() {
            let head = line.trim_start();
            if !((head.starts_with("while ") || head.starts_with("loop ")) && head.ends_with('{')) {
                continue;
            }
            let ends = |other: &&&str| indent(other) == indent(line) && other.trim_start().starts_with('}');
            let end = body[at..].iter().position(|other| ends(&other)).map_or(body.len(), |end| at + end);
            if body[at..end].iter().any(|line| NAPS.iter().any(|nap| line.contains(nap))) {
                found.push(begun + at);
            }
        }
    }
    found
}

/// A test that waits for ever says nothing of what it waits for.
#[test]
fn no_test_polls_without_a_deadline() {
    let (mut seen, mut wrong) = (0, Vec::new());
    let is_of_tests = |name: &str| ["/tests/", "tests.rs"].iter().any(|part| name.contains(part));
    for file in ["src", "tests"].iter().flat_map(|folder| rust_files(&root().join(folder))) {
        let text = std::fs::read_to_string(&file).expect("readable");
        let name = file.strip_prefix(root()).expect("below").display().to_string();
        // The machine of the simulation has a clock of its own.
        if name.starts_with("tests/simulation") || name == "tests/architecture.rs" {
            continue;
        }
        let whole = name.starts_with("tests/") || is_of_tests(&name);
        let from = if whole { 0 } else { text.find("#[cfg(test)]\nmod ").unwrap_or(text.len()) };
        let lines_before = text[..from].lines().count();
        seen += usize::from(from < text.len());
        let polls = polls_without_a_deadline(&text[from..]);
        wrong.extend(polls.into_iter().map(|line| format!("{name}:{}", lines_before + line)));
    }
    assert!(seen > 200, "{seen} files with tests");
    assert!(wrong.is_empty(), "name when it gives up:\n{}", wrong.join("\n"));
}

#[test]
fn the_finder_of_polls_sees_those_that_never_give_up() {
    let poll = "fn a() {\n    while !is_so() {\n        thread::sleep(NAP);\n    }\n}\n";
    assert_eq!(polls_without_a_deadline(poll), [2]);
    assert!(polls_without_a_deadline(&poll.replace("NAP", "deadline.min(NAP)")).is_empty());
    assert!(polls_without_a_deadline(&poll.replace("thread::sleep(NAP)", "do_it()")).is_empty());
}

/// The public item that a line begins, but for what is handed on (`pub use`) and rooms, which open with their own words.
fn public_item(line: &str) -> Option<&str> {
    const ITEMS: [&str; 9] =
        ["fn ", "async fn ", "const fn ", "unsafe fn ", "struct ", "enum ", "trait ", "type ", "static "];
    let item = line.trim_start().strip_prefix("pub ")?;
    ITEMS.iter().any(|kind| item.starts_with(kind)).then_some(item)
}

/// What the compiler's own lint would ask of every field as well, where a good name says enough.
#[test]
fn public_items_say_what_they_are() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for file in rust_files(&root().join("src")) {
        let text = std::fs::read_to_string(&file).expect("readable");
        let (mut is_told, mut in_attribute) = (false, false);
        for (number, line) in text.lines().take_while(|line| *line != "mod tests {").enumerate() {
            let trimmed = line.trim_start();
            if trimmed.starts_with("///") || trimmed.starts_with("#[doc") || trimmed.starts_with("$(#[") {
                is_told = true;
            } else if in_attribute || trimmed.starts_with("#[") {
                in_attribute = !trimmed.ends_with(']');
            } else {
                if let Some(item) = public_item(line) {
                    seen += 1;
                    if !is_told {
                        wrong.push(format!("{}:{}: {item}", file.display(), number + 1));
                    }
                }
                is_told = false;
            }
        }
    }
    assert!(seen > 500, "{seen} items");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_documented_transition_table_is_the_one_in_force() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("readable");
    let table = tabletd::rules::transition::transition_table();
    assert!(text.contains(&table), "ARCHITECTURE.md must contain this table:\n{table}");
}

#[test]
fn the_documented_verb_table_is_the_one_in_force() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("readable");
    let table = tabletd::rules::gate::verb_table();
    assert!(text.contains(&table), "ARCHITECTURE.md must contain this table:\n{table}");
}

#[test]
fn the_documented_import_table_is_the_one_in_force() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("readable");
    for (module, allowed) in MAY_IMPORT {
        let allowed = if allowed.is_empty() { "(nothing)".to_owned() } else { allowed.join(", ") };
        let row = format!("| `{module}` | {allowed} |");
        assert!(text.contains(&row), "ARCHITECTURE.md must contain the row\n{row}");
    }
}

#[test]
fn every_capability_has_one_row() {
    let text = std::fs::read_to_string(root().join("docs/capabilities.md")).expect("readable");
    for (letter, last) in [('D', 23), ('N', 28), ('S', 21), ('A', 19), ('T', 43)] {
        for number in 1..=last {
            let row = format!("\n| {letter}{number} | ");
            assert_eq!(text.matches(&row).count(), 1, "{letter}{number}");
        }
    }
}

/// Names below a heading of Cargo.toml.
fn dependencies(heading: &str) -> BTreeSet<String> {
    let cargo = std::fs::read_to_string(root().join("Cargo.toml")).expect("readable");
    let below = cargo.lines().skip_while(|line| *line != heading).skip(1);
    let of_it = below.take_while(|line| !line.starts_with('['));
    of_it.filter_map(|line| Some(line.split_once(" = ")?.0.to_owned())).collect()
}

/// Whether the code of some file below these folders names a crate.
fn is_used(crate_name: &str, folders: &[&str]) -> bool {
    // The package `md-5` is the crate `md5`.
    let name = if crate_name == "md-5" { "md5".to_owned() } else { crate_name.replace('-', "_") };
    let names_it = |line: &str| {
        let parts: Vec<_> = line.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
        !line.trim_start().starts_with("//")
            && parts.contains(&name.as_str())
            && (line.contains(&format!("{name}::")) || line.contains(&format!("use {name}")))
    };
    let files = folders.iter().flat_map(|folder| rust_files(&root().join(folder)));
    files.into_iter().any(|file| std::fs::read_to_string(file).expect("readable").lines().any(names_it))
}

#[test]
fn every_dependency_has_its_reason_and_its_use() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("readable");
    let (_, table) = text.split_once("\n## Dependencies\n").expect("the section");
    let row = |line: &str| Some(line.strip_prefix("| `")?.split_once("` | ")?.0.to_owned());
    let reasons: BTreeSet<_> = table.lines().filter_map(row).collect();
    let (product, tests) = (dependencies("[dependencies]"), dependencies("[dev-dependencies]"));
    assert!(product.len() > 30 && tests.len() > 8, "{product:?} {tests:?}");
    assert_eq!(reasons, product.union(&tests).cloned().collect());
    let idle = product.iter().filter(|name| !is_used(name, &["src"]));
    let idle: Vec<_> =
        idle.chain(tests.iter().filter(|name| !is_used(name, &["src", "tests", "benches"]))).collect();
    assert!(idle.is_empty(), "named in Cargo.toml and used nowhere: {idle:?}");
}

#[test]
fn every_key_of_the_configuration_is_read_by_somebody() {
    let config = root().join("src/config");
    let code: String = rust_files(&root().join("src"))
        .into_iter()
        .filter(|file| !file.starts_with(&config))
        .flat_map(|file| {
            let text = std::fs::read_to_string(file).expect("readable");
            text.lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect::<Vec<_>>()
                .join("\n")
                .into_bytes()
        })
        .map(char::from)
        .collect();
    let is_read = |field: &str| {
        code.match_indices(field).any(|(at, _)| {
            !code[at + field.len()..].starts_with(|next: char| next.is_alphanumeric() || next == '_')
        })
    };
    for key in tabletd::config::KEYS {
        // Where be_custom.conf is, is asked of the configuration as a whole.
        let field = if key.name == "custom_config_dir" { "custom_file" } else { key.name };
        assert!(is_read(&format!(".{field}")), "nothing reads {}", key.name);
    }
}

/// Where the text of a `Debug` may be part of what people read, and why.
const DEBUG_TEXT: &[(&str, &str)] = &[
    // ENOSPC, EIO: the names that manual pages use, which nix gives in no other way.
    ("src/storage/error.rs", "{errno:?}"),
];

/// The code of a file without its tests and comments, line by line.
fn product_code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_of_tests = |at: &usize| {
        let next = text[*at..].lines().nth(1).unwrap_or_default();
        next.contains("mod ") && next.ends_with('{')
    };
    let tests = text.match_indices("#[cfg(test)]\n").map(|(at, _)| at).find(is_of_tests);
    let lines = text[..tests.unwrap_or(text.len())].lines().enumerate();
    lines.filter(|(_, line)| !line.trim_start().starts_with("//")).map(|(at, line)| (at + 1, line))
}

/// `{x:?}`, `{:#?}`, and `?x` as tracing has it for a field.
fn debug_text(line: &str) -> Option<&str> {
    if let Some(end) = [":?}", ":#?}"].iter().find_map(|form| Some(line.find(form)? + form.len())) {
        return line[..end].rfind('{').map(|from| &line[from..end]);
    }
    let fields = ["(?", ", ?", "= ?"].iter().flat_map(|form| line.match_indices(form));
    let mut named = fields.map(|(at, form)| &line[at + form.len()..]);
    named.find(|rest| {
        rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && !rest.starts_with("Sized")
    })
}

/// `file:line: what` wherever `wrong` finds something in the product's own code.
fn found_in_the_product(wrong: impl Fn(&str, &str) -> Option<String>) -> Vec<String> {
    let mut found = Vec::new();
    for file in rust_files(&root().join("src")) {
        let name = file.strip_prefix(root()).expect("below").display().to_string();
        if ["/tests/", "tests.rs", "fuzz.rs"].iter().any(|part| name.contains(part)) {
            continue;
        }
        let text = std::fs::read_to_string(&file).expect("readable");
        for (at, line) in product_code(&text) {
            found.extend(wrong(&name, line).map(|what| format!("{name}:{at}: {what}")));
        }
    }
    found
}

#[test]
fn no_debug_text_of_rust_reaches_a_log_an_audit_or_an_answer() {
    let wrong = found_in_the_product(|name, line| {
        debug_text(line).filter(|found| !DEBUG_TEXT.contains(&(name, found))).map(str::to_owned)
    });
    assert!(wrong.is_empty(), "say it in words, or with model::quoted:\n{}", wrong.join("\n"));
}

/// Nouns that texts for people count.
const COUNTED: &str = "alarms attempts backends campaigns copies days directories disks entries errors failures files generations \
    hosts hours inodes items keys lines members migrations minutes moves nodes operations orders parts problems \
    ranges records replicas requests roots rows rowsets seconds segments slots steps tablets tasks things times tokens \
    warnings";
/// What may stand between a number and its noun.
const ADJECTIVES: [&str; 10] =
    ["more", "other", "further", "new", "damaged", "running", "queued", "read", "write", "open"];

/// A noun in the plural right behind a number that may be one: `{} tablets`, or `(count) " tablets"` in a page.
fn plural_of_any_number(line: &str) -> Option<String> {
    let behind = ["} ", ") \" "].into_iter().flat_map(|form| line.match_indices(form));
    behind.into_iter().find_map(|(at, form)| {
        // A constant is no 1.
        if line[..at].ends_with("_MAX") {
            return None;
        }
        let rest = &line[at + form.len()..];
        let mut words = rest.split(|c: char| !c.is_ascii_alphabetic());
        let first = words.next()?;
        let noun = if ADJECTIVES.contains(&first) { words.next()? } else { first };
        let is_verb = noun == "moves" && words.next().is_some_and(|next| ["it", "what"].contains(&next));
        (COUNTED.split(' ').any(|counted| counted == noun) && !is_verb).then(|| noun.to_owned())
    })
}

#[test]
fn a_text_never_says_one_tablets() {
    for line in ["f!(\"{} tablets\")", "f!(\"{count} more moves fit\")", "p { (count) \" files, \" }"] {
        assert!(plural_of_any_number(line).is_some(), "{line}");
    }
    for line in ["f!(\"tablets {}\")", "p { (x) \"files\" }", "f!(\"{path} holds tablets\")"] {
        assert_eq!(plural_of_any_number(line), None, "{line}");
    }
    let wrong = found_in_the_product(|_, line| plural_of_any_number(line));
    assert!(wrong.is_empty(), "say it with model::counted or model::counted_as:\n{}", wrong.join("\n"));
}

#[test]
fn the_finder_of_debug_text_sees_every_form_and_no_other() {
    for line in
        ["format!(\"{x:?}\")", "f(\"{:#?}\", x)", "info!(?x)", "info!(a, ?x, \"\")", "info!(a = ?x, \"\")"]
    {
        assert!(debug_text(line).is_some(), "{line}");
    }
    for line in ["f(x?, y?)", "\"id = ?1 AND b = ?\"", "fn f<T: ?Sized>()", "let x = y?;", "\"{x:#010x}\""] {
        assert_eq!(debug_text(line), None, "{line}");
    }
    let text = "a\n// {x:?}\nb\n#[cfg(test)]\nmod tests {\n{x:?}\n";
    assert_eq!(product_code(text).collect::<Vec<_>>(), [(1, "a"), (3, "b")]);
}
