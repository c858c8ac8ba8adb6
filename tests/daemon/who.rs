//! Who may, with the real programs: tokens made while the daemon runs, TLS, and the audit log.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::Node;
use crate::harness::daemon::PATIENCE;

fn tabletctl(args: &[&str], env: &[(&str, &str)]) -> Output {
    crate::harness::tabletctl::tabletctl(args).envs(env.iter().copied()).output().expect("tabletctl")
}

fn token(conf: &str, name: &str, role: &str) -> String {
    let made = tabletctl(&["token", "create", name, "--role", role, "--conf", conf], &[]);
    assert!(made.status.success(), "{made:?}");
    String::from_utf8(made.stdout).expect("text").trim().to_owned()
}

/// Runs `tabletctl` until it ends with `code`: the daemon looks at the file of tokens twice a second.
fn soon(args: &[&str], token: &str, code: i32) -> Output {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let done = tabletctl(args, &[("TABLETD_TOKEN", token)]);
        if done.status.code() == Some(code) {
            return done;
        }
        assert!(Instant::now() < deadline, "{args:?} never ends with {code}: {done:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn audit(node: &Node) -> Vec<Value> {
    let path = node.dir.path().join("log/audit.log");
    let text = std::fs::read_to_string(path).expect("an audit log");
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[test]
fn a_token_made_while_the_daemon_runs_is_asked_for_honoured_and_taken_back() {
    let mut node = Node::new(2);
    node.add_tablet(0, 10, &[1000]);
    let daemon = node.start();
    let conf = node.dir.path().join("be.conf").display().to_string();
    let (url, there) = (daemon.url(""), node.disk(1));
    let list = ["--addr", &url, "list"];
    assert!(tabletctl(&list, &[]).status.success(), "no token, no questions");

    let operator = token(&conf, "ops", "operator");
    let refused = soon(&list, "", 4);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("UNAUTHENTICATED"), "{refused:?}");
    soon(&list, &operator, 0);
    let again = tabletctl(&["token", "create", "ops", "--role", "admin", "--conf", &conf], &[]);
    assert_eq!(again.status.code(), Some(4), "the name is taken");
    let moved = tabletctl(
        &["--addr", &url, "migrate", "10", "--disk", &there, "--reason", "tidy", "--follow"],
        &[("TABLETD_TOKEN", &operator)],
    );
    assert!(moved.status.success(), "{moved:?}");
    let purge = tabletctl(&["--addr", &url, "trash", "purge", "--yes"], &[("TABLETD_TOKEN", &operator)]);
    assert!(String::from_utf8_lossy(&purge.stderr).contains("role admin"), "{purge:?}");

    assert!(tabletctl(&["token", "revoke", "ops", "--conf", &conf], &[]).status.success());
    soon(&list, &operator, 4);
    let listed = tabletctl(&["token", "list", "--json", "--conf", &conf], &[]);
    let listed: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    assert_eq!(
        (&listed["data"][0]["name"], &listed["data"][0]["status"]),
        (&"ops".into(), &"revoked".into())
    );
    daemon.stop();

    let lines = audit(&node);
    let told: Vec<_> = lines
        .iter()
        .map(|line| format!("{} {} {} {}", line["token"], line["target"], line["status"], line["reason"]))
        .collect();
    assert_eq!(
        told,
        ["\"ops\" \"/api/v1/migrations\" 201 \"tidy\"", "\"ops\" \"/api/v1/trash/purge\" 403 null",]
    );
    let kept = std::fs::read_to_string(node.dir.path().join("state/tokens")).expect("the tokens");
    assert!(!kept.contains(&operator) && !format!("{lines:?}{}", node_log(&node)).contains(&operator));
}

fn node_log(node: &Node) -> String {
    std::fs::read_to_string(node.dir.path().join("log/audit.log")).unwrap_or_default()
}

/// A certificate for 127.0.0.1, signed by itself, at `c.pem`, and its key at `k.pem`.
fn write_pair(folder: &Path) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let write = |name: &str, text: String| {
        let (unfinished, path) = (folder.join("new.pem"), folder.join(name));
        std::fs::write(&unfinished, text).expect("a file");
        std::fs::rename(unfinished, &path).expect("a file");
        path
    };
    (write("c.pem", made.cert.pem()), write("k.pem", made.signing_key.serialize_pem()))
}

#[test]
fn over_tls_the_certificate_is_checked_and_replaced_without_a_restart() {
    let mut node = Node::new(1);
    let (certificate, key) = write_pair(node.dir.path());
    node.settings = format!(
        "tls_certificate_file = {}\ntls_private_key_file = {}\n",
        certificate.display(),
        key.display()
    );
    let daemon = node.start();
    let url = daemon.url("");
    assert!(url.starts_with("https://"), "{url}");
    let first = std::fs::read(&certificate).expect("a certificate");
    let trusted = node.dir.path().join("trusted.pem").display().to_string();
    std::fs::write(&trusted, &first).expect("a file");
    let disks = ["--url", &url, "--ca", &trusted, "disks"];
    assert!(tabletctl(&disks, &[]).status.success());
    assert_eq!(tabletctl(&["--url", &url, "disks"], &[]).status.code(), Some(3), "nobody vouches for it");
    let plain = url.replace("https", "http");
    assert_eq!(tabletctl(&["--url", &plain, "disks"], &[]).status.code(), Some(3), "no plain HTTP beside it");

    write_pair(node.dir.path());
    soon(&disks, "", 3);
    std::fs::copy(&certificate, &trusted).expect("a file");
    soon(&disks, "", 0);
    daemon.stop();
}

/// As most people make one: signed by itself, an authority, and with no host's name in it.
#[test]
fn a_certificate_of_openssl_is_believed_when_it_is_the_very_one_that_was_named() {
    let mut node = Node::new(1);
    let make = |name: &str| {
        let at = |end: &str| node.dir.path().join(format!("{name}{end}.pem"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=node"])
            .arg("-keyout")
            .arg(at("-key"))
            .arg("-out")
            .arg(at(""))
            .output()
            .expect("openssl");
        assert!(made.status.success(), "{made:?}");
        (at("").display().to_string(), at("-key").display().to_string())
    };
    let (certificate, key) = make("one");
    let (other, _) = make("other");
    node.settings = format!("tls_certificate_file = {certificate}\ntls_private_key_file = {key}\n");
    let daemon = node.start();
    let url = daemon.url("");
    let done = tabletctl(&["--url", &url, "--ca", &certificate, "disks"], &[]);
    assert!(done.status.success(), "{done:?}");
    let refused = tabletctl(&["--url", &url, "--ca", &other, "disks"], &[]);
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    daemon.stop();
}

/// What a Doris be.conf asks for is TLS from its own files, or no start: never plain HTTP in its place.
#[test]
fn a_be_conf_of_doris_with_https_gets_tls_or_a_refusal() {
    let mut node = Node::new(1);
    let (certificate, key) = write_pair(node.dir.path());
    let paths = |certificate: &str| {
        let key = key.display();
        format!("enable_https = true\nssl_certificate_path = {certificate}\nssl_private_key_path = {key}\n")
    };
    node.settings = paths(&certificate.display().to_string());
    let daemon = node.start();
    let url = daemon.url("");
    assert!(url.starts_with("https://"), "{url}");
    let disks = ["--url", &url, "--ca", &certificate.display().to_string(), "disks"];
    assert!(tabletctl(&disks, &[]).status.success());
    daemon.stop();
    for (settings, words) in [
        ("enable_https = true\n".to_owned(), "ssl_certificate_path"),
        (paths("/nowhere/c.pem"), "/nowhere/c.pem"),
        (paths("\"$DORIS_HOME/conf/cert.pem\""), "without quotes"),
    ] {
        node.settings = settings;
        let said = node.try_start().err().expect("refused");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn beyond_loopback_and_with_broken_tokens_the_daemon_does_not_start_open() {
    let mut node = Node::new(1);
    node.settings = "webserver_bind_host = 0.0.0.0\n".to_owned();
    let said = node.try_start().err().expect("refused");
    assert!(said.contains("enable_all_http_auth"), "{said}");
    node.settings = "webserver_bind_host = 0.0.0.0\nenable_all_http_auth = true\n".to_owned();
    let daemon = node.start();
    let url = daemon.url("").replace("0.0.0.0", "127.0.0.1");
    let refused = tabletctl(&["--addr", &url, "list"], &[]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no token exists"), "{refused:?}");
    daemon.stop();
    std::fs::write(node.dir.path().join("state/tokens"), "{").expect("a file");
    let said = node.try_start().err().expect("refused");
    assert!(said.contains("not a file of tokens"), "{said}");
}
