//! Configuration files that are almost right: never a panic, every refusal names a line, and what is taken is taken the
//! same when it is written again. `TABLETD_FUZZ_ITERATIONS` makes it a long run.

use std::path::Path;

use super::*;

#[allow(clippy::duplicate_mod)] // of two rooms that may not import each other
#[path = "../../tests/support/mutator.rs"]
mod mutator;

/// Line by line, so that a mutated file is small and each of its lines may be the one that changes.
fn corpus() -> Vec<&'static [u8]> {
    let shipped = include_str!("../../conf/be.conf");
    let lines = shipped
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|rest| rest.contains(" = ")).unwrap_or(line));
    let mut corpus: Vec<_> = lines.filter(|line| line.contains('=')).map(str::as_bytes).collect();
    corpus.extend([
        b"storage_root_path = /a,medium:ssd,capacity:10GB;/b.HDD,50;/c".as_slice(),
        b"storage_root_path=${DORIS_HOME}/storage;/x,medium:hdd\nbroken_storage_path = /a;/b",
        b"webserver_port = 8040\nwebserver_port = 8041\nJAVA_HOME=/usr/lib/jvm\n",
        b"# a comment = with a sign\n\xef\xbb\xbfstate_dir = /var/lib/tabletd\r\n",
    ]);
    corpus
}

fn read(text: &str) -> Result<Loaded, ConfigErrors> {
    let env = |name: &str| (name == "DORIS_HOME").then(|| "/opt/tabletd".to_owned());
    let canonical = |path: &str| Some(path.to_owned());
    let around = Surroundings { env: &env, canonical: &canonical, conf_dir: Path::new("/opt/tabletd/conf") };
    interpret(&[Sheet::parse("be.conf", text)], &around)
}

#[test]
fn a_file_that_is_almost_right_is_taken_or_refused_line_by_line() {
    let corpus = corpus();
    mutator::fuzz("be.conf", |mutator| {
        let lines =
            (0..1 + mutator.below(4)).map(|_| mutator.mutate(&corpus)).collect::<Vec<_>>().join(&b'\n');
        let text = String::from_utf8_lossy(&lines).into_owned();
        match read(&text) {
            Ok(loaded) => {
                let written: String = KEYS
                    .iter()
                    .map(|key| format!("{} = {}\n", key.name, key.value_in(&loaded.config)))
                    .collect();
                // A value that no line can say came from the environment or from a default.
                if let Ok(again) = read(&written) {
                    assert_eq!(again.config.show(), loaded.config.show(), "{text:?}");
                }
            }
            Err(errors) => {
                assert!(!errors.problems.is_empty(), "{text:?}");
                assert_eq!(errors.to_string().lines().count(), errors.problems.len(), "{text:?}");
            }
        }
    });
}

#[test]
fn a_line_that_is_almost_right_is_set_back_to_what_it_was() {
    let corpus = corpus();
    mutator::fuzz("be_custom.conf", |mutator| {
        let text = String::from_utf8_lossy(&mutator.mutate(&corpus)).into_owned();
        let changed = with_key(&text, "webserver_port", "1234");
        let sheet = Sheet::parse("", &changed);
        assert_eq!(sheet.last("webserver_port").map(|entry| entry.value.as_str()), Some("1234"), "{text:?}");
        let once_more = with_key(&changed, "webserver_port", "1234");
        assert_eq!(once_more, changed, "{text:?}");
        let _ = parse_broken_storage_path(&text);
    });
}
