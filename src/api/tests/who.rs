//! Who may, over a socket: credentials, roles, foreign names and sites, and what the audit log says of it all.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use serde_json::Value;

use super::document::documented;
use super::http::{Reply, Running, limits, start, start_behind};
use crate::access::{NewToken, REALM, Role, Secret, Token, Tokens, ha1};
use crate::api::Access;

fn secret(seed: u8) -> Secret {
    Secret::from_random([seed; 32])
}

fn tokens() -> Tokens {
    let made = |name, role, seed, expires_ms| {
        let wish = NewToken { name, role, now_ms: 0, expires_ms, digest: true };
        Token::new(&wish, &secret(seed)).unwrap()
    };
    Tokens(vec![
        made("look", Role::Viewer, 1, None),
        made("ops", Role::Operator, 2, None),
        made("root", Role::Admin, 3, None),
        made("old", Role::Admin, 4, Some(1)),
    ])
}

fn guarded() -> Running {
    start_behind(limits(), Access::of_tokens(tokens()))
}

fn bearer(seed: u8) -> String {
    format!("Authorization: Bearer {}\r\n", secret(seed).as_str())
}

fn ask(server: &Running, method: &str, target: &str, headers: &str, body: &str) -> Reply {
    server.request(method, target, &format!("Content-Type: application/json\r\n{headers}"), body)
}

#[test]
fn once_tokens_exist_a_request_without_one_is_answered_with_every_way_to_show_it() {
    let server = guarded();
    for target in ["/api/v1/migrations", "/api/v1/nothing", "/metrics", "/api/tablet_migration?goal=status"] {
        let reply = server.get(target);
        assert_eq!((reply.status, &reply.json()["error_code"]), (401, &"UNAUTHENTICATED".into()), "{target}");
        let offered = reply.headers("www-authenticate");
        let schemes: Vec<_> = offered.iter().filter_map(|offer| offer.split(' ').next()).collect();
        assert_eq!(schemes, ["Digest", "Basic", "Bearer"]);
        assert!(offered[0].contains("algorithm=SHA-256") && offered[0].contains("qop=\"auth\""));
    }
    assert_eq!(server.get("/api/health").status, 200, "health is open");
    let wrapped = server.get("/api/v1/disks?envelope=true").json();
    assert_eq!(
        (&wrapped["status"], &wrapped["envelope"]["error_code"]),
        (&401.into(), &"UNAUTHENTICATED".into())
    );
}

#[test]
fn each_role_may_what_it_may_and_is_told_which_role_it_lacks() {
    let server = guarded();
    let migration = r#"{"tablet_id":1,"dest_disk":"/d2"}"#;
    for (method, target, body, viewer, operator, admin) in [
        ("GET", "/api/v1/disks", "", 200, 200, 200),
        ("POST", "/api/v1/migrations", migration, 403, 201, 201),
        ("DELETE", "/api/v1/migrations/7", "", 403, 202, 202),
        ("POST", "/api/v1/trash/purge", r#"{"all":true}"#, 403, 403, 202),
        ("POST", "/api/update_config?hdd_read_slots=2", "", 403, 403, 200),
        ("GET", "/api/tablet_migration?goal=status&tablet_id=1&schema_hash=2", "", 200, 200, 200),
        ("GET", "/api/tablet_migration?goal=run&tablet_id=1&schema_hash=2&disk=/d2", "", 403, 200, 200),
    ] {
        for (seed, expected) in [(1, viewer), (2, operator), (3, admin)] {
            let reply = ask(&server, method, target, &bearer(seed), body);
            assert_eq!(reply.status, expected, "{method} {target} by {seed}: {}", reply.text());
            if expected == 403 {
                let needed =
                    if method == "POST" && !target.contains("migrations") { "admin" } else { "operator" };
                assert_eq!(reply.json()["details"]["role_needed"], needed, "{target}");
            }
        }
    }
    server.node.asked();
    for wrong in [bearer(4), bearer(9), "Authorization: Bearer\r\n".into(), "Authorization: x y\r\n".into()] {
        assert_eq!(ask(&server, "POST", "/api/v1/migrations", &wrong, migration).status, 401, "{wrong}");
    }
    assert!(server.node.asked().is_empty(), "who is refused reaches nothing");
}

#[test]
fn every_operation_refuses_who_has_less_than_the_role_that_the_document_names() {
    let server = guarded();
    let mut seen = BTreeSet::new();
    for (path, method, operation) in documented() {
        let target = path.replace(['{', '}'], "");
        let Some(needed) = operation["x-role"].as_str() else {
            assert_eq!((path.as_str(), method.as_str()), ("/api/health", "GET"), "open to everybody");
            continue;
        };
        let needed: Role = needed.parse().unwrap();
        seen.insert(needed);
        let changes =
            method != "GET" || ["/api/tablet_migration", "/api/reload_tablet"].contains(&path.as_str());
        assert_eq!(needed > Role::Viewer, changes, "{method} {path}");
        assert_eq!(ask(&server, &method, &target, "", "{}").status, 401, "{method} {path}");
        for (seed, role) in [(1, Role::Viewer), (2, Role::Operator)] {
            if role < needed {
                let reply = ask(&server, &method, &target, &bearer(seed), "{}");
                assert_eq!(reply.status, 403, "{method} {path} by a token of role {role}");
                assert_eq!(reply.json()["details"]["role_needed"], needed.as_str());
            }
        }
    }
    assert_eq!(seen.len(), Role::ALL.len());
    assert!(server.node.asked().is_empty(), "who is refused reaches nothing");
}

#[test]
fn a_token_is_a_password_of_basic_whoever_the_user() {
    use base64::Engine as _;
    let server = guarded();
    for user in ["", "root", "anybody"] {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{}", secret(1).as_str()));
        let header = format!("Authorization: Basic {pair}\r\n");
        assert_eq!(ask(&server, "GET", "/api/v1/disks", &header, "").status, 200, "{user:?}");
        assert_eq!(ask(&server, "DELETE", "/api/v1/migrations/7", &header, "").status, 403);
    }
}

fn sha256(text: &str) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn digest_answers_the_challenge_for_the_target_as_it_was_sent() {
    let server = guarded();
    let challenge = server.get("/api/v1/disks");
    let offer = challenge.headers("www-authenticate")[0].to_owned();
    let nonce = offer.split("nonce=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
    let answer = |method: &str, target: &str, user: &str| {
        let ha2 = sha256(&format!("{method}:{target}"));
        let ha1 = ha1("ops", secret(2).as_str());
        let response = sha256(&format!("{ha1}:{nonce}:00000001:abc:auth:{ha2}"));
        format!(
            "Authorization: Digest username=\"{user}\", realm=\"{REALM}\", nonce=\"{nonce}\", uri=\"{target}\", \
             algorithm=SHA-256, qop=auth, nc=00000001, cnonce=\"abc\", response=\"{response}\"\r\n"
        )
    };
    // Neither the empty part nor the switch is what the handlers see; both are what the client signed.
    for target in ["/api/v1/disks", "//api/v1/disks?pretty=true", "/api/v1/migrations?limit=1"] {
        assert_eq!(ask(&server, "GET", target, &answer("GET", target, "ops"), "").status, 200, "{target}");
    }
    let (target, json) = ("/api/v1/disks/enable", "Content-Type: application/json\r\n");
    let signed = answer("POST", target, "ops") + json;
    for body in ["{\"path\":\"/d1\"}", "{\"path\":\"/d2\"}"] {
        let status = ask(&server, "POST", target, &signed, body).status;
        assert_ne!(status, 401, "the body is not what it is bound to, as `access::digest` says");
    }
    let signed = answer("GET", "/api/v1/disks", "ops");
    assert_eq!(ask(&server, "GET", "/api/v1/trash", &signed, "").status, 401, "another target");
    assert_eq!(ask(&server, "DELETE", "/api/v1/disks", &signed, "").status, 401, "another method");
    let other = answer("GET", "/api/v1/disks", "root");
    assert_eq!(ask(&server, "GET", "/api/v1/disks", &other, "").status, 401, "another token's name");
}

#[test]
fn foreign_names_and_other_sites_are_refused() {
    let server = start();
    let under = |host: &str| {
        server.send(&format!("GET /api/v1/disks HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
    };
    assert_eq!(under("localhost:8040").status, 200);
    let rebound = under("evil.example");
    assert_eq!((rebound.status, &rebound.json()["error_code"]), (421, &"HOST_NOT_ALLOWED".into()));
    let run = "/api/tablet_migration?goal=run&tablet_id=1&schema_hash=2&disk=/d2";
    for header in ["Sec-Fetch-Site: cross-site\r\n", "Origin: http://evil.example\r\n"] {
        let reply = server.request("GET", run, header, "");
        assert_eq!((reply.status, &reply.json()["error_code"]), (403, &"CROSS_SITE".into()), "{header}");
    }
    let head = server.request("HEAD", run, "", "");
    assert_eq!(head.status, 405);
    assert!(server.node.asked().is_empty());
}

#[test]
fn a_request_names_one_host_and_one_of_ours() {
    let server = start();
    let ask = |target: &str, version: &str, hosts: &str| {
        server.send(&format!("GET {target} HTTP/{version}\r\n{hosts}Connection: close\r\n\r\n"))
    };
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let own = format!("Host: {}:8040\r\n", own.trim());
    for (target, version, hosts, status) in [
        ("/api/v1/disks", "1.1", "Host: localhost\r\n", 200),
        ("/api/v1/disks", "1.1", own.as_str(), 200),
        ("/api/v1/disks", "1.0", "", 200),
        ("/api/v1/disks", "1.1", "", 400),
        ("/api/v1/disks", "1.1", "Host: localhost\r\nHost: localhost\r\n", 400),
        ("/api/v1/disks", "1.1", "Host: localhost\r\nHost: evil.example\r\n", 400),
        ("http://localhost/api/v1/disks", "1.1", "Host: localhost\r\n", 200),
        ("http://evil.example/api/v1/disks", "1.1", "Host: localhost\r\n", 400),
        ("http://evil.example/api/v1/disks", "1.1", "Host: evil.example\r\n", 421),
        ("http://evil.example//api/v1/disks?pretty=true", "1.0", "", 421),
    ] {
        assert_eq!(ask(target, version, hosts).status, status, "{target} {version} {hosts:?}");
    }
}

#[test]
fn refusals_on_paths_of_doris_carry_what_its_scripts_read() {
    let server = guarded();
    let run = "/api/tablet_migration?goal=run&tablet_id=1&schema_hash=2&disk=/d2";
    let evil = server.send(&format!("GET {run} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"));
    for (reply, status, code) in [
        (server.get(run), 401, "UNAUTHENTICATED"),
        (ask(&server, "GET", run, &bearer(1), ""), 403, "FORBIDDEN"),
        (server.get("/tablets_json"), 401, "UNAUTHENTICATED"),
        (evil, 421, "HOST_NOT_ALLOWED"),
    ] {
        let said = reply.json();
        assert_eq!(
            (reply.status, &said["status"], &said["error_code"]),
            (status, &"Fail".into(), &code.into())
        );
        assert_eq!(said["msg"], said["error_msg"]);
    }
    assert_eq!(server.get("/api/v1/disks").json().get("msg"), None, "the job API has its own form");
}

#[test]
fn metrics_can_be_left_open_and_nothing_else_with_them() {
    let server = start_behind(limits(), Access::of_tokens(tokens()).with_open_metrics());
    for (method, target, status) in [
        ("GET", "/metrics", 200),
        ("GET", "//metrics/", 200),
        ("POST", "/metrics", 401),
        ("GET", "/api/v1/disks", 401),
    ] {
        assert_eq!(ask(&server, method, target, "", "").status, status, "{method} {target}");
    }
}

#[test]
fn every_answer_tells_browsers_what_not_to_do_and_clients_which_api_this_is() {
    let server = guarded();
    for target in ["/api/health", "/api/v1/disks", "/api/v1/nothing", "/metrics"] {
        let reply = server.get(target);
        assert_eq!(reply.header("x-api-version"), Some("1.3"), "{target}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("strict-transport-security"), None, "only over TLS");
    }
}

/// What the audit log has after these requests, without times and ports.
fn audited(requests: &[(&str, &str, String, &str)]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let server = start_behind(limits(), Access::of_tokens(tokens()).audited(&path));
    for (method, target, headers, body) in requests {
        ask(&server, method, target, headers, body);
    }
    // The last owner of the log waits until it is written.
    server.stop();
    let text = std::fs::read_to_string(&path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn everything_that_changes_or_tried_to_is_in_the_audit_log_once() {
    static MIGRATION: OnceLock<String> = OnceLock::new();
    let body = MIGRATION.get_or_init(|| r#"{"tablet_id":1,"dest_disk":"/d2","reason":"tidy up"}"#.to_owned());
    let run = "/api/tablet_migration?goal=run&tablet_id=1&schema_hash=2&disk=/d2";
    let lines = audited(&[
        ("POST", "/api/v1/migrations", bearer(2), body),
        ("GET", "/api/v1/migrations", bearer(2), ""),
        ("POST", "/api/v1/migrations", bearer(1), body),
        ("POST", "/api/v1/migrations", String::new(), body),
        ("DELETE", "/api/v1/migrations/7", format!("{}X-Reason: wrong disk\r\n", bearer(2)), ""),
        ("DELETE", "/api/v1/tasks/99/x", bearer(3), ""),
        ("GET", run, bearer(2), ""),
        ("GET", "/api/tablet_migration?goal=run&tablet_id=x", bearer(2), ""),
        ("GET", run, format!("{}Sec-Fetch-Site: cross-site\r\n", bearer(2)), ""),
    ]);
    let told: Vec<_> = lines
        .iter()
        .map(|line| {
            let text = |name: &str| line[name].as_str().unwrap_or("-").to_owned();
            assert!(text("time").ends_with('Z') && text("caller").starts_with("127.0.0.1:"), "{line}");
            format!(
                "{} {} {} {} {} {}",
                text("token"),
                text("role"),
                line["status"],
                text("outcome"),
                text("error_code"),
                text("reason")
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "ops operator 201 accepted - tidy up",
            "look viewer 403 refused FORBIDDEN -",
            "- - 401 refused UNAUTHENTICATED -",
            "ops operator 202 accepted - wrong disk",
            "root admin 404 refused NOT_FOUND -",
            "ops operator 200 accepted - -",
            "ops operator 200 refused INVALID_ARGUMENT -",
            "- - 403 refused CROSS_SITE -",
        ]
    );
    assert_eq!(lines[0]["asked"][0], "move tablet 1_2 to \"/d2\": tidy up");
    assert_eq!(lines[5]["target"], run);
}
