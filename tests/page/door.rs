//! Who is let in, and what a form may do: over HTTP, with cookies as a browser would show them.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::daemon::PATIENCE;
use crate::harness::{Daemon, Node};

/// Where the page and everything it is drawn with are.
const VIEWS: [&str; 10] = [
    "/",
    "/ui/tasks",
    "/ui/tasks/plan?kind=drain",
    "/ui/migrations",
    "/ui/tablets",
    "/ui/tablets/10",
    "/ui/operations",
    "/ui/trash",
    "/ui/events",
    "/ui/api",
];

struct Reply {
    status: u16,
    place: String,
    cookie: Option<String>,
    policy: String,
    text: String,
}

/// A browser without a window: it keeps one cookie and follows nothing.
pub(crate) struct Visitor<'a> {
    daemon: &'a Daemon,
    cookie: String,
}

impl<'a> Visitor<'a> {
    pub(crate) fn of(daemon: &'a Daemon) -> Self {
        Self { daemon, cookie: String::new() }
    }

    fn read(&mut self, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Reply {
        let mut answer = answer.expect("an answer");
        let header = |name: &str| {
            answer
                .headers()
                .get(name)
                .map(|value| value.to_str().expect("text").to_owned())
                .unwrap_or_default()
        };
        let cookie = Some(header("set-cookie")).filter(|cookie| !cookie.is_empty());
        let (place, policy) = (header("location"), header("content-security-policy"));
        if let Some(set) = &cookie {
            set.split(';').next().unwrap_or_default().clone_into(&mut self.cookie);
        }
        let status = answer.status().as_u16();
        Reply { status, place, cookie, policy, text: answer.body_mut().read_to_string().expect("text") }
    }

    fn get(&mut self, path: &str) -> Reply {
        let answer = agent().get(self.daemon.url(path)).header("Cookie", &self.cookie).call();
        self.read(answer)
    }

    fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Reply {
        let request = agent().post(self.daemon.url(path)).header("Cookie", &self.cookie);
        let answer = request.send_form(form.iter().copied());
        self.read(answer)
    }

    fn csrf(&mut self) -> String {
        // Who cannot sign in is shown a form elsewhere.
        let pages = self.get("/ui/sign-in").text + &self.get("/ui/trash").text;
        let after = pages.split("name=\"csrf\" value=\"").nth(1).unwrap_or_default();
        after.chars().take_while(|c| *c != '"').collect()
    }

    fn sign_in(&mut self, token: &str) -> Reply {
        let csrf = self.csrf();
        self.post("/ui/sign-in", &[("csrf", &csrf), ("token", token)])
    }
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0);
    config.max_redirects_will_error(false).timeout_global(Some(PATIENCE)).build().into()
}

/// A token of the node; the daemon has taken note of it when this returns.
pub(crate) fn token(node: &Node, daemon: &Daemon, name: &str, role: &str) -> String {
    let conf = node.dir.path().join("be.conf");
    let made = Command::new(env!("CARGO_BIN_EXE_tabletctl"))
        .args(["token", "create", name, "--role", role, "--conf"])
        .arg(conf)
        .output()
        .expect("tabletctl");
    assert!(made.status.success(), "{made:?}");
    let token = String::from_utf8(made.stdout).expect("text").trim().to_owned();
    let deadline = Instant::now() + PATIENCE;
    let known = || {
        let wrong = agent().get(daemon.url("/api/v1/status")).call().expect("an answer").status();
        let bearer = format!("Bearer {token}");
        let right = agent().get(daemon.url("/api/v1/status")).header("Authorization", bearer).call();
        wrong == 401 && right.expect("an answer").status() == 200
    };
    while !known() {
        assert!(Instant::now() < deadline, "the daemon never takes note of a token");
        std::thread::sleep(Duration::from_millis(20));
    }
    token
}

fn node() -> (Node, Daemon) {
    let mut node = Node::new(2);
    node.add_tablet(0, 10, &[4000, 100]);
    let daemon = node.start();
    (node, daemon)
}

#[test]
fn without_tokens_the_page_is_open_as_the_api_is_and_nothing_stands_inline() {
    let (_node, daemon) = node();
    let mut visitor = Visitor::of(&daemon);
    for view in VIEWS {
        let reply = visitor.get(view);
        assert_eq!(reply.status, 200, "{view}: {}", reply.text);
        assert!(reply.policy.starts_with("default-src 'none'") && !reply.policy.contains("unsafe"), "{view}");
        for inline in [" style=\"", "<style", "<script>", " onclick", "javascript:", "http://www."] {
            assert!(!reply.text.contains(inline), "{view} has {inline}");
        }
        assert!(reply.text.contains("<main") && reply.text.contains("<nav aria-label"), "{view}");
    }
    let first = Visitor::of(&daemon).get("/");
    let cookie = first.cookie.expect("a number to prove forms by");
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{cookie}");
    for (path, kind) in
        [("page.css", "text/css"), ("page.js", "text/javascript"), ("icon.svg", "image/svg+xml")]
    {
        let answer = agent().get(daemon.url(&format!("/ui/static/{path}"))).call().expect("an answer");
        assert!(answer.headers()["content-type"].to_str().expect("text").starts_with(kind));
        assert!(!answer.headers().contains_key("set-cookie"), "{path}");
    }
    assert_eq!(visitor.get("/ui/tablets/999").status, 404);
    assert_eq!(visitor.get("/ui/nothing").status, 404);
}

#[test]
fn a_form_without_the_proof_of_its_page_does_nothing_also_where_nobody_signs_in() {
    let (_node, daemon) = node();
    let mut visitor = Visitor::of(&daemon);
    let csrf = visitor.csrf();
    let pin = "/ui/do/POST/api/v1/tablets/10/pin";
    let is_pinned = || !daemon.get("/api/v1/tablets/10")["pinned"].is_null();
    let json = ("json", r#"{"schema_hash":555}"#);
    let other = Visitor::of(&daemon).csrf();
    for wrong in ["", "x", other.as_str()] {
        let reply = visitor.post(pin, &[("csrf", wrong), json]);
        assert_eq!(reply.status, 403, "{}", reply.text);
    }
    assert_eq!(Visitor::of(&daemon).post(pin, &[("csrf", &csrf), json]).status, 403, "no cookie");
    // A browser's own call of the API, with its cookie and without the proof.
    let call = |header: Option<&str>| {
        let mut request =
            agent().post(daemon.url("/api/v1/tablets/10/pin")).header("Cookie", &visitor.cookie);
        if let Some(proof) = header {
            request = request.header("X-CSRF-Token", proof);
        }
        request.send_json(serde_json::json!({})).expect("an answer").status().as_u16()
    };
    assert_eq!(call(None), 403);
    assert!(!is_pinned());
    assert_eq!(call(Some(&csrf)), 200);
    assert!(is_pinned());
    let unpinned = visitor.post(
        "/ui/do/POST/api/v1/tablets/10/unpin",
        &[("csrf", &csrf), ("json", "{}"), ("then", "/ui/tablets/10")],
    );
    assert_eq!((unpinned.status, unpinned.place.as_str()), (303, "/ui/tablets/10?done=unpin"));
    assert!(!is_pinned());
    let pinned = visitor
        .post(pin, &[("csrf", &csrf), json, ("text:reason", "<b>why</b>"), ("then", "//evil.example/")]);
    assert_eq!((pinned.status, pinned.place.as_str()), (303, "/?done=pin"), "{}", pinned.text);
    let page = visitor.get("/ui/tablets/10").text;
    assert!(page.contains("&lt;b&gt;why&lt;/b&gt;") && !page.contains("<b>why"), "{page}");
    for beyond in [
        "/ui/do/POST/api/update_config",
        "/ui/do/GET/api/v1/tablets",
        "/ui/do/POST/ui/sign-out",
        "/ui/do/POST",
    ] {
        assert_eq!(visitor.post(beyond, &[("csrf", &csrf)]).status, 404, "{beyond}");
    }
    let start = [("csrf", csrf.as_str()), ("json", r#"{"start":{}}"#)];
    let refused = visitor.post("/ui/do/POST/api/v1/tasks/99/action", &start);
    assert!(refused.status == 404 && refused.text.contains("TASK_NOT_FOUND"), "{}", refused.text);
}

#[test]
fn whoever_signs_in_has_the_role_of_the_token_and_a_number_instead_of_it() {
    let (node, daemon) = node();
    let viewer = token(&node, &daemon, "look", "viewer");
    let operator = token(&node, &daemon, "ops", "operator");
    let mut visitor = Visitor::of(&daemon);
    let turned_away = visitor.get("/ui/tablets");
    assert_eq!((turned_away.status, turned_away.place.as_str()), (303, "/ui/sign-in"));
    assert_eq!(visitor.sign_in("tabletd_wrong").status, 401);
    let before = visitor.cookie.clone();
    let entered = visitor.sign_in(&operator);
    assert_eq!((entered.status, entered.place.as_str()), (303, "/"));
    assert_ne!(before, visitor.cookie, "a number that somebody else may know is given up");
    assert!(!visitor.cookie.contains(&operator));
    let page = visitor.get("/ui/tablets/10").text;
    assert!(
        page.contains("ops (operator)") && page.contains("action=\"/ui/do/POST/api/v1/tablets/10/verify\"")
    );

    let status = |path: &str, cookie: &str| {
        agent().get(daemon.url(path)).header("Cookie", cookie).call().expect("an answer").status().as_u16()
    };
    let there = node.disk(1);
    let run = format!("/api/tablet_migration?goal=run&tablet_id=10&schema_hash=555&disk={there}");
    assert_eq!(status("/api/v1/status", &visitor.cookie), 200);
    for never in [
        run.as_str(),
        "/api/tablet_migration?goal=status&tablet_id=10&schema_hash=555",
        "/metrics",
        "/api/show_config",
    ] {
        assert_eq!(status(never, &visitor.cookie), 401, "{never}");
    }
    let csrf = visitor.csrf();
    let purge =
        visitor.post("/ui/do/POST/api/v1/trash/purge", &[("csrf", &csrf), ("json", r#"{"all":true}"#)]);
    assert_eq!(purge.status, 403, "an operator does not purge");
    let verify = ("json", "{}");
    assert_eq!(visitor.post("/ui/do/POST/api/v1/tablets/10/verify", &[("csrf", &csrf), verify]).status, 303);

    let mut looker = Visitor::of(&daemon);
    assert_eq!(looker.sign_in(&viewer).status, 303);
    let page = looker.get("/ui/tablets/10").text;
    assert!(page.contains("look (viewer)") && !page.contains("action=\"/ui/do/"), "{page}");
    let csrf = looker.csrf();
    assert_eq!(looker.post("/ui/do/POST/api/v1/tablets/10/verify", &[("csrf", &csrf), verify]).status, 403);

    let csrf = visitor.csrf();
    let signed_in = visitor.cookie.clone();
    assert_eq!(visitor.post("/ui/sign-out", &[("csrf", &csrf)]).status, 303);
    assert_eq!(status("/api/v1/status", &signed_in), 401, "the number means nothing any more");
    let audit = std::fs::read_to_string(node.dir.path().join("log/audit.log")).expect("an audit log");
    assert!(audit.contains("sign in to the page as ops") && !audit.contains(&operator), "{audit}");
}
