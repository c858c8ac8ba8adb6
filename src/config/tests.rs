//! The files as a whole: every problem at once, what is ignored, be_custom.conf, the shipped be.conf, and properties
//! that hold for any text.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;

use super::value::Rule;
use super::*;
use crate::model::{LeftBytesFrom, Medium};

fn home_only(name: &str) -> Option<String> {
    (name == "DORIS_HOME").then(|| "/opt/tabletd".to_owned())
}

fn no_env(_: &str) -> Option<String> {
    None
}

fn everything_exists(path: &str) -> Option<String> {
    Some(path.to_owned())
}

fn around<'a>(env: &'a dyn Fn(&str) -> Option<String>, conf_dir: &'a str) -> Surroundings<'a> {
    Surroundings { env, canonical: &everything_exists, conf_dir: Path::new(conf_dir) }
}

fn read(text: &str) -> Result<Loaded, ConfigErrors> {
    interpret(&[Sheet::parse("be.conf", text)], &around(&home_only, "/opt/tabletd/conf"))
}

/// One line of the shipped file for each key, also those that it comments out: they depend on the installation, or on
/// whether they are written.
fn shipped_be_conf() -> String {
    include_str!("../../conf/be.conf")
        .lines()
        .map(|line| match line.strip_prefix("# ").and_then(|rest| Some((rest, rest.split_once(" = ")?))) {
            Some((rest, (key, _))) if Key::find(key).is_some() => rest.to_owned(),
            _ => line.to_owned(),
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_shipped_file_says_exactly_the_defaults() {
    let shipped = read(&shipped_be_conf()).unwrap();
    let defaults = read("").unwrap().config;
    assert_eq!(shipped.config.show(), defaults.show());
    assert_eq!(shipped.ignored, []);
    let as_it_is = read(include_str!("../../conf/be.conf")).unwrap();
    assert_eq!(as_it_is.config, defaults, "what behaves otherwise once it is written is commented out");
    assert_eq!(as_it_is.notes, <[String; 0]>::default());
}

#[test]
fn what_is_written_is_meant_and_who_copied_the_default_is_told() {
    const KEY: &str = "storage_flood_stage_left_capacity_bytes";
    let from = |text: &str| {
        let loaded = read(text).unwrap();
        (loaded.config.storage_flood_stage_left_capacity_bytes.from, loaded.notes.len())
    };
    assert_eq!(from(""), (LeftBytesFrom::Default, 0));
    assert_eq!(from(&format!("{KEY} = 1G")), (LeftBytesFrom::Setting, 1));
    assert_eq!(from(&format!("{KEY} = 2G")), (LeftBytesFrom::Setting, 0));
}

#[test]
fn the_shipped_file_has_every_key_once_in_the_order_of_the_table() {
    let sheet = Sheet::parse("be.conf", &shipped_be_conf());
    let keys: Vec<_> = sheet.entries.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(keys, KEYS.iter().map(|key| key.name).collect::<Vec<_>>());
}

#[test]
fn the_shipped_file_marks_exactly_the_mutable_keys() {
    let text = shipped_be_conf();
    for paragraph in text.split("\n\n") {
        for entry in Sheet::parse("be.conf", paragraph).entries {
            let mutable = Key::find(&entry.key).unwrap().mutability == Mutability::Mutable;
            assert_eq!(paragraph.contains("# [M] "), mutable, "{}", entry.key);
        }
    }
}

#[test]
fn every_problem_is_reported_at_once_with_file_and_line() {
    let be_conf = "\
# a file with nothing right in it
webserver_port = 99999
webserver_num_workers = many
this is not a setting
ignore_broken_disk = yes
storage_root_path = /a,medium:tape;b;/c;/c
state_dir = state
sys_log_level = LOUD
copy_block_bytes = 5000
min_garbage_sweep_interval = 9000
broken_storage_path = ${NOWHERE}/x
webserver_bind_host = localhost
enable_all_http_auth = \"true\"
hdd_read_slots = 0
hdd_read_slots = 2
";
    let custom = "ssd_read_slots = ${OPEN\ncustom_config_dir = /elsewhere\n";
    let sheets = [Sheet::parse("conf/be.conf", be_conf), Sheet::parse("conf/be_custom.conf", custom)];
    let errors = interpret(&sheets, &around(&home_only, "/opt/tabletd/conf")).unwrap_err();
    let value = "(fail to parse storage_root_path config. value=/a,medium:tape;b;/c;/c)";
    let expected = [
        "conf/be.conf:2: webserver_port = 99999: not an accepted value; accepted: a whole number from 0 to 65535",
        "conf/be.conf:3: webserver_num_workers = many: cannot be read as int32_t; accepted: a whole number from 1 to 4096",
        "conf/be.conf:4: this is not a setting: neither a comment nor a setting; accepted: 'key = value', or a line that starts with '#'",
        "conf/be.conf:5: ignore_broken_disk = yes: cannot be read as bool; accepted: true or false",
        &format!(
            "conf/be.conf:6: storage_root_path = /a,medium:tape: invalid storage medium. medium=TAPE {value}; accepted: ssd, hdd, remote_cache; a path whose own extension is none of them needs ',medium:hdd' or ',medium:ssd'"
        ),
        &format!(
            "conf/be.conf:6: storage_root_path = b: invalid store path. path=b {value}; accepted: a path that begins with '/', entries separated by ';'"
        ),
        "conf/be.conf:6: storage_root_path = /c: a duplicated path is found, path=/c; accepted: each path once",
        "conf/be.conf:7: state_dir = state: not an accepted value; accepted: a path that begins with '/'",
        "conf/be.conf:8: sys_log_level = LOUD: not an accepted value; accepted: one of DEBUG, INFO, WARNING, ERROR, FATAL",
        "conf/be.conf:9: copy_block_bytes = 5000: not an accepted value; accepted: a multiple of 4096 from 4096 to 67108864",
        "conf/be.conf:10: min_garbage_sweep_interval = 9000: min_garbage_sweep_interval must not be above max_garbage_sweep_interval; min_garbage_sweep_interval is 9000, max_garbage_sweep_interval is 3600",
        "conf/be.conf:11: broken_storage_path = ${NOWHERE}/x: NOWHERE is not set in the environment; set it where the daemon is started, or write the value out",
        "conf/be.conf:12: webserver_bind_host = localhost: not an accepted value; accepted: an IP address, such as 127.0.0.1, 0.0.0.0 or ::",
        "conf/be.conf:13: enable_all_http_auth = \"true\": cannot be read as bool; accepted: true or false; quotes are part of the value, leave them out",
        "conf/be_custom.conf:1: ssd_read_slots = ${OPEN: '${' without a closing '}'; set it where the daemon is started, or write the value out",
        "conf/be_custom.conf:2: custom_config_dir = /elsewhere: has no effect in this file; set it in be.conf",
    ];
    assert_eq!(errors.to_string().lines().collect::<Vec<_>>(), expected);
}

#[test]
fn storage_roots_must_be_named_somehow() {
    for (env, text, words) in [
        (
            &no_env as &dyn Fn(&str) -> Option<String>,
            "",
            "be.conf: storage_root_path = : not set, and without DORIS_HOME in the environment there is no default; \
             set storage_root_path, for example /disk1,medium:ssd;/disk2,medium:hdd",
        ),
        (
            &home_only,
            "storage_root_path = ;",
            "be.conf:1: storage_root_path = ;: names no directory; \
             set storage_root_path, for example /disk1,medium:ssd;/disk2,medium:hdd",
        ),
        (
            &home_only,
            "\nstorage_root_path =",
            "be.conf:2: storage_root_path = : names no directory; \
             set storage_root_path, for example /disk1,medium:ssd;/disk2,medium:hdd",
        ),
    ] {
        let errors = interpret(&[Sheet::parse("be.conf", text)], &around(env, "/etc/tabletd")).unwrap_err();
        assert_eq!(errors.to_string(), words, "{text:?}");
    }
}

#[test]
fn places_that_are_not_set_follow_the_installation() {
    for (env, conf_dir, state_dir) in [
        (&home_only as &dyn Fn(&str) -> Option<String>, "/etc/tabletd", "/opt/tabletd/state"),
        (&no_env, "/srv/be/conf", "/srv/be/state"),
        (&no_env, "/etc/tabletd", "/etc/tabletd/state"),
        (&|_| Some(String::new()), "/srv/be/conf", "/srv/be/state"),
    ] {
        let sheet = Sheet::parse("be.conf", "storage_root_path = /d");
        let config = interpret(&[sheet], &around(env, conf_dir)).unwrap().config;
        assert_eq!(config.state_dir, state_dir, "{conf_dir}");
        assert_eq!(config.custom_config_dir, conf_dir);
        assert_eq!(config.custom_file(), Path::new(conf_dir).join("be_custom.conf"));
    }
    let loaded = read("").unwrap();
    assert_eq!(loaded.config.storage_root_path, "/opt/tabletd/storage");
    assert_eq!(loaded.roots.roots[0].path, "/opt/tabletd/storage");
    assert!(loaded.written.is_empty());
}

#[test]
fn a_be_conf_written_for_doris_starts_the_daemon() {
    let text = "\
LOG_DIR=\"${DORIS_HOME}/log/\"
CUR_DATE=`date +%Y%m%d-%H%M%S`
JAVA_OPTS=\"-Xmx2048m -DlogPath=$LOG_DIR/jni.log ${NOT_SET_ANYWHERE}\"
be_port = 9060
webserver_port = 8041
brpc_port = 8060
ssl_certificate_path = \"$DORIS_HOME/conf/cert.pem\"
jdbc_drivers_dir = ${NOT_SET_ANYWHERE}/jdbc_drivers
storage_root_path = /home/disk1/doris.HDD,50;/home/disk2/doris,medium:SSD
min_tablet_migration_threads = 1
be_port = 9061
some_future_key = 1
webserver_bindhost = 0.0.0.0
";
    let loaded = read(text).unwrap();
    assert_eq!(loaded.config.webserver_port, 8041);
    let media: Vec<_> = loaded.roots.roots.iter().map(|root| root.medium).collect();
    assert_eq!(media, [Medium::Hdd, Medium::Ssd]);
    let ignored: BTreeMap<_, _> = loaded
        .ignored
        .iter()
        .map(|ignored| {
            let lines: Vec<_> = ignored.places.iter().filter_map(|place| place.line).collect();
            (ignored.key.as_str(), (lines, matches!(ignored.why, IgnoredWhy::DorisOnly { .. })))
        })
        .collect();
    assert_eq!(
        ignored,
        BTreeMap::from([
            ("be_port", (vec![4, 11], true)),
            ("brpc_port", (vec![6], true)),
            ("jdbc_drivers_dir", (vec![8], true)),
            ("min_tablet_migration_threads", (vec![10], true)),
            ("some_future_key", (vec![12], false)),
            ("ssl_certificate_path", (vec![7], true)),
            ("webserver_bindhost", (vec![13], false)),
        ])
    );
    assert_eq!(
        loaded.ignored.last().map(ToString::to_string).as_deref(),
        Some("be.conf:13: webserver_bindhost is ignored: unknown key, did you mean webserver_bind_host?")
    );
    assert_eq!(loaded.written.keys().copied().collect::<Vec<_>>(), ["storage_root_path", "webserver_port"]);
}

/// Doris ships its be.conf with both paths in quotes, which it takes for a part of them, and HTTPS off.
#[test]
fn https_as_doris_asks_for_it_is_tls_or_a_refusal() {
    let files = "ssl_certificate_path = ${DORIS_HOME}/cert.pem\nssl_private_key_path = /key.pem\n";
    let quoted = "ssl_certificate_path = \"$DORIS_HOME/cert.pem\"\nssl_private_key_path = /key.pem\n";
    for (text, certificate, key) in [
        (format!("enable_https = true\n{files}"), "/opt/tabletd/cert.pem", "/key.pem"),
        (format!("enable_https = false\n{files}"), "", ""),
        (files.to_owned(), "", ""),
        (format!("enable_https = false\n{quoted}"), "", ""),
        (
            format!(
                "{files}tls_certificate_file = /own.pem\ntls_private_key_file = /own.key\nenable_https = true"
            ),
            "/own.pem",
            "/own.key",
        ),
    ] {
        let loaded = read(&text).unwrap();
        let config = &loaded.config;
        assert_eq!(
            (config.tls_certificate_file.as_str(), config.tls_private_key_file.as_str()),
            (certificate, key),
            "{text}"
        );
        let names_them = loaded.ignored.iter().any(|ignored| ignored.key.contains("ssl"));
        assert_eq!(names_them, certificate.is_empty(), "{text}: {:?}", loaded.ignored);
    }
    for (text, words) in [
        (
            "enable_https = true".to_owned(),
            &["ssl_certificate_path", "ssl_private_key_path", "be.conf:1"][..],
        ),
        (format!("enable_https = true\n{quoted}"), &["be.conf:2: ssl_certificate_path", "without quotes"]),
        (format!("enable_https = yes\n{files}"), &["enable_https = yes", "true or false"]),
        (
            "enable_https = true\nssl_certificate_path = /c".to_owned(),
            &["neither ssl_private_key_path nor tls_private"],
        ),
    ] {
        let refused = read(&text).unwrap_err().to_string();
        assert!(words.iter().all(|word| refused.contains(word)), "{text}: {refused}");
    }
}

#[test]
fn a_broken_entry_is_left_out_only_when_asked() {
    let list = "storage_root_path = /a;/b,foo:1";
    assert!(read(list).is_err());
    let loaded = read(&format!("{list}\nignore_broken_disk = true")).unwrap();
    assert_eq!((loaded.roots.roots.len(), loaded.roots.broken.len()), (1, 1));
    assert_eq!(loaded.config.storage_root_path, "/a;/b,foo:1");
}

#[test]
fn be_custom_conf_is_read_after_be_conf_and_wins() {
    let folder = tempfile::tempdir().unwrap();
    let conf = folder.path().join("conf");
    let elsewhere = folder.path().join("elsewhere");
    std::fs::create_dir(&conf).unwrap();
    std::fs::create_dir(&elsewhere).unwrap();
    let path = conf.join("be.conf");
    let disk = folder.path().join("disk.ssd");
    std::fs::create_dir(&disk).unwrap();
    let roots = format!("storage_root_path = {};{}/missing", disk.display(), folder.path().display());
    std::fs::write(&path, format!("{roots}\nhdd_read_slots = 2\nhdd_write_slots = 2\n")).unwrap();
    std::fs::write(conf.join("be_custom.conf"), "hdd_read_slots = 3\n").unwrap();

    let loaded = Config::load(&path, &no_env).unwrap();
    assert_eq!((loaded.config.hdd_read_slots, loaded.config.hdd_write_slots), (3, 2));
    assert_eq!(loaded.config.state_dir, folder.path().join("state").to_string_lossy());
    assert_eq!(loaded.roots.roots.len(), 1, "{:?}", loaded.roots);
    assert_eq!(loaded.roots.roots[0].medium, Medium::Ssd);
    assert_eq!(loaded.roots.broken.len(), 1);

    std::fs::write(&path, format!("{roots}\ncustom_config_dir = ${{ELSEWHERE}}\n")).unwrap();
    let env = |name: &str| (name == "ELSEWHERE").then(|| elsewhere.to_string_lossy().into_owned());
    let mut config = Config::load(&path, &env).unwrap().config;
    assert_eq!(config.hdd_read_slots, 1);
    config.set("hdd_read_slots", "5").unwrap();
    persist(&config.custom_file(), "hdd_read_slots", "5").unwrap();
    assert_eq!(Config::load(&path, &env).unwrap().config, config);
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_and_old_comments_may_be_in_any_encoding() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("be.conf");
    let error = Config::load(&path, &home_only).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}: the file: cannot be read: ", path.display())), "{error}");

    std::fs::write(&path, b"# caf\xe9\nstorage_root_path = /d\nbe_port = \xe9\n").unwrap();
    assert!(Config::load(&path, &home_only).is_ok());
    std::fs::write(&path, b"storage_root_path = /d\xe9\n").unwrap();
    let error = Config::load(&path, &home_only).unwrap_err().to_string();
    assert!(error.contains("be.conf:1: ") && error.contains("not UTF-8"), "{error}");

    std::fs::write(&path, "storage_root_path = /d\nwebserver_port = x\n").unwrap();
    std::fs::create_dir(folder.path().join("be_custom.conf")).unwrap();
    let errors = Config::load(&path, &home_only).unwrap_err();
    assert_eq!(errors.problems.len(), 2, "{errors}");
}

/// A value `key` accepts, chosen by `seed`.
fn some_value(key: &Key, seed: u64) -> String {
    let pick = |min: i64, max: i64| {
        let span = u64::try_from(i128::from(max) - i128::from(min)).unwrap().saturating_add(1);
        (i128::from(min) + i128::from(seed % span)).to_string()
    };
    match key.rule {
        Rule::Range(min, max) | Rule::Bytes(min, max) => pick(min, max),
        Rule::MultipleOf(unit, min, max) => {
            let steps = u64::try_from((max - min) / unit).unwrap() + 1;
            (min + i64::try_from(seed % steps).unwrap() * unit).to_string()
        }
        Rule::AbsolutePath => format!("/place/{seed}"),
        Rule::Any => match key.name {
            "storage_root_path" => format!("/disk{seed},medium:ssd"),
            "broken_storage_path" => format!("/disk{seed};"),
            "disk_rate_limit_overrides" => format!("/disk{}:{}", seed % 7, seed >> 1),
            "migration_window" => format!("{:02}:00-23:30", seed % 24),
            "webserver_bind_host" => "::1".to_owned(),
            "tablet_file_owner" => format!("{}:{}", seed % 1000, seed >> 33),
            "otlp_endpoint" => format!("http://collector:{seed}"),
            "http_allowed_hosts" => format!("n{seed}"),
            _ if key.type_name == "bool" => (seed % 2 == 1).to_string(),
            // "one of a, b, c"
            _ => {
                let accepted = key.accepted();
                let words: Vec<_> = accepted.trim_start_matches("one of ").split(", ").collect();
                words[usize::try_from(seed % 2).unwrap()].to_owned()
            }
        },
    }
}

fn render(config: &Config) -> String {
    KEYS.iter().map(|key| format!("{} = {}\n", key.name, key.value_in(config))).collect()
}

#[test]
fn beyond_loopback_is_served_only_on_purpose() {
    let refused = |text: &str| read(text).err().map(|errors| errors.to_string()).unwrap_or_default();
    assert!(refused("webserver_bind_host = 0.0.0.0").contains("that this is meant"));
    assert_eq!(refused("webserver_bind_host = 0.0.0.0\nenable_all_http_auth = false"), "");
    assert_eq!(refused("webserver_bind_host = ::1"), "");
    assert_eq!(refused("webserver_bind_host = 0.0.0.0\nenable_all_http_auth = true"), "");
    assert_eq!(refused("enable_all_http_auth = true"), "");
    assert!(refused("tls_certificate_file = /c").contains("set together"));
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic_and_every_problem_is_one_line(text in ".{0,400}", roots in "[/a-c.,;: \"sdhm0-9]{0,40}") {
        for text in [text.clone(), text.replace(' ', "\n"), format!("storage_root_path = {roots}\n{text}")] {
            if let Err(errors) = read(&text) {
                prop_assert!(!errors.problems.is_empty());
                prop_assert_eq!(errors.to_string().lines().count(), errors.problems.len());
            }
        }
    }

    #[test]
    fn any_text_as_the_value_of_any_key_is_taken_or_refused(index in 0..KEYS.len(), value in "\\PC{0,30}") {
        let key = &KEYS[index];
        let loaded = read(&format!("{} = {value}", key.name));
        let mut config = Config::default();
        match config.set(key.name, &value) {
            Ok(()) => {
                let mut again = Config::default();
                prop_assert_eq!(again.set(key.name, &key.value_in(&config)), Ok(()));
                prop_assert_eq!(again, config);
            }
            Err(_) => prop_assert_eq!(&config, &Config::default()),
        }
        if let Err(errors) = loaded {
            prop_assert!(errors.problems.iter().all(|problem| problem.subject.starts_with(key.name)));
        }
    }

    #[test]
    fn a_written_configuration_is_read_back(changes in prop::collection::vec((0..KEYS.len(), any::<u64>()), 0..20)) {
        let mut config = read("").unwrap().config;
        for (index, seed) in changes {
            let key = &KEYS[index];
            let value = some_value(key, seed);
            let mut next = config.clone();
            prop_assert_eq!(key.assign(&mut next, &value), Ok(()), "{} = {}", key.name, value);
            if next.conflicts().is_empty() {
                config = next;
            }
        }
        prop_assert_eq!(read(&render(&config)).unwrap().config.show(), config.show());
    }

    #[test]
    fn settings_survive_being_written_as_lines(settings in prop::collection::vec(("[a-z_]{1,12}", "[!-~]([ -~]{0,20}[!-~])?"), 0..12)) {
        let text: String = settings.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        let sheet = Sheet::parse("be.conf", &text);
        let read: Vec<_> = sheet.entries.into_iter().map(|entry| (entry.key, entry.value)).collect();
        prop_assert_eq!(read, settings);
    }

    #[test]
    fn a_persisted_key_is_the_one_that_counts(text in "([a-c]|#| |=|\n){0,40}", value in "[!-~]{1,10}") {
        let changed = with_key(&text, "a", &value);
        let sheet = Sheet::parse("", &changed);
        prop_assert_eq!(sheet.last("a").map(|entry| entry.value.as_str()), Some(value.as_str()));
        prop_assert_eq!(sheet.entries.iter().filter(|entry| entry.key == "a").count(), 1);
        let others = |text: &str| Sheet::parse("", text).entries.into_iter().filter(|entry| entry.key != "a")
            .map(|entry| (entry.key, entry.value)).collect::<Vec<_>>();
        prop_assert_eq!(others(&changed), others(&text));
    }
}
