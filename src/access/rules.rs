//! Which role a request needs: one table over method, path and, for the Doris endpoint that moves on GET, its goal.
//!
//! Paths are those after the server has dropped empty parts (`//api//health` is `/api/health`). A path nobody serves has
//! a need as well, so that a stranger cannot tell which exist.

use super::Role;

/// What a request has to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Nothing,
    Role(Role),
}

/// The endpoint of Doris that moves a tablet on GET.
const TABLET_MIGRATION: &str = "/api/tablet_migration";

/// The one that takes a tablet's directory in on GET.
const RELOAD_TABLET: &str = "/api/reload_tablet";

/// Paths whose changes an administrator makes.
const ADMIN_PATHS: [&str; 8] = [
    "/api/update_config",
    "/api/glog/adjust",
    "/api/v1/config/reload",
    "/api/v1/trash/purge",
    "/api/v1/disks",
    "/api/v1/disks/forget",
    "/api/v1/disks/replace",
    "/api/v1/quarantine/purge",
];

/// Where the page for people is, beside `/` itself.
const PAGE_PREFIX: &str = "/ui/";

/// Buttons of the page: `/ui/do/POST/api/v1/tasks/7/action` asks for what stands behind.
const BUTTONS: &str = "/ui/do/";

/// What of the page is for everybody: the way in, and what a browser needs to draw it.
const WAY_IN: [&str; 2] = ["/ui/sign-in", "/ui/sign-out"];
const DRAWING: &str = "/ui/static/";

/// Whether a path belongs to the page for people.
pub fn is_page(path: &str) -> bool {
    path == "/" || path.starts_with(PAGE_PREFIX)
}

/// Whether it is a style sheet, a script or a picture of the page: the same for everybody.
pub fn is_drawing(path: &str) -> bool {
    path.starts_with(DRAWING)
}

/// Whether a browser that has signed in may use its session there: the page and the job API. Never on Doris's paths,
/// where a GET can move a tablet.
pub fn takes_session(path: &str) -> bool {
    is_page(path) || path.starts_with("/api/v1/")
}

/// What a button asks for: method and path.
fn behind_the_button(path: &str) -> Option<(&str, &str)> {
    let (method, rest) = path.strip_prefix(BUTTONS)?.split_once('/')?;
    // The slash before what follows.
    let begin = path.len() - rest.len() - 1;
    Some((method, &path[begin..]))
}

/// The role that `method` on `path` needs; `goals` are the values of the parameter `goal`, in order.
pub fn needed<'a>(method: &str, path: &str, goals: impl Iterator<Item = &'a str>) -> Need {
    if path == "/api/health" && matches!(method, "GET" | "HEAD") {
        return Need::Nothing;
    }
    if WAY_IN.contains(&path) || (is_drawing(path) && matches!(method, "GET" | "HEAD")) {
        return Need::Nothing;
    }
    if let Some((method, path)) = behind_the_button(path)
        && !path.starts_with(BUTTONS)
    {
        // A button that changes nothing is none; it needs no less than others.
        let role = match needed(method, path, goals) {
            Need::Role(role) => role.max(Role::Operator),
            Need::Nothing => Role::Operator,
        };
        return Need::Role(role);
    }
    if !changes_something(method, path, goals) {
        return Need::Role(Role::Viewer);
    }
    let for_admin = ADMIN_PATHS.contains(&path) || changes_the_fleet(method, path);
    Need::Role(if for_admin { Role::Admin } else { Role::Operator })
}

/// Who belongs to a fleet, at which address and with which credential, and who leads it. To take a member into service or
/// out of it is an operator's.
fn changes_the_fleet(method: &str, path: &str) -> bool {
    match path.strip_prefix("/api/v1/sources") {
        Some("") => true,
        Some(_) => matches!(method, "PUT" | "DELETE"),
        None => path.starts_with("/api/v1/cluster/"),
    }
}

/// Whether a request may change something: everything but GET, HEAD and OPTIONS does, and a GET on the Doris endpoints
/// that take a tablet in, or that do not plainly ask how one moves.
pub fn changes_something<'a>(method: &str, path: &str, goals: impl Iterator<Item = &'a str>) -> bool {
    match method {
        "GET" | "HEAD" if path == TABLET_MIGRATION => {
            // Of several goals the releases take the first and the documentation refuses: none may be `run`.
            let mut goals = goals.peekable();
            goals.peek().is_none() || goals.any(|goal| goal != "status")
        }
        "GET" | "HEAD" => path == RELOAD_TABLET,
        "OPTIONS" => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_good_for_the_page_and_the_job_api_and_for_nothing_else() {
        for path in ["/", "/ui/tasks", "/ui/do/POST/api/v1/trash/purge", "/api/v1/events"] {
            assert!(takes_session(path), "{path}");
        }
        for path in [TABLET_MIGRATION, "/api/update_config", "/metrics", "/api/v1", "/api/v12/x", "/uix", ""]
        {
            assert!(!takes_session(path), "{path}");
        }
    }

    #[test]
    fn reading_needs_a_viewer_changing_an_operator_and_what_cannot_be_undone_an_admin() {
        let role = Need::Role;
        for (method, path, goals, expected) in [
            ("GET", "/api/health", &[][..], Need::Nothing),
            ("POST", "/api/health", &[], role(Role::Operator)),
            ("GET", "/metrics", &[], role(Role::Viewer)),
            ("GET", "/api/v1/migrations", &[], role(Role::Viewer)),
            ("GET", "/api/v1/openapi.json", &[], role(Role::Viewer)),
            ("OPTIONS", "/api/v1/migrations", &[], role(Role::Viewer)),
            ("POST", "/api/v1/migrations", &[], role(Role::Operator)),
            ("DELETE", "/api/v1/migrations/7", &[], role(Role::Operator)),
            ("POST", "/api/v1/disks/disable", &[], role(Role::Operator)),
            ("POST", "/api/restore_tablet", &[], role(Role::Operator)),
            ("POST", "/api/v1/trash/purge", &[], role(Role::Admin)),
            ("POST", "/api/v1/quarantine/purge", &[], role(Role::Admin)),
            ("POST", "/api/v1/quarantine/restore", &[], role(Role::Operator)),
            ("POST", "/api/update_config", &[], role(Role::Admin)),
            ("GET", "/api/v1/disks", &[], role(Role::Viewer)),
            ("POST", "/api/v1/disks", &[], role(Role::Admin)),
            ("POST", "/api/v1/disks/forget", &[], role(Role::Admin)),
            ("POST", "/api/v1/disks/replace", &[], role(Role::Admin)),
            ("GET", "/api/show_config", &[], role(Role::Viewer)),
            ("GET", "/api/tablet_migration", &["run"], role(Role::Operator)),
            ("GET", "/api/tablet_migration", &["status"], role(Role::Viewer)),
            ("GET", "/api/tablet_migration", &["status", "run"], role(Role::Operator)),
            ("GET", "/api/tablet_migration", &["run", "status"], role(Role::Operator)),
            ("GET", "/api/tablet_migration", &["STATUS"], role(Role::Operator)),
            ("GET", "/api/tablet_migration", &[], role(Role::Operator)),
            ("HEAD", "/api/tablet_migration", &["run"], role(Role::Operator)),
            ("GET", "/api/reload_tablet", &["status"], role(Role::Operator)),
            ("HEAD", "/api/reload_tablet", &[], role(Role::Operator)),
            ("GET", "/api/compaction/run_status", &[], role(Role::Viewer)),
            ("POST", "/api/glog/adjust", &[], role(Role::Admin)),
            ("GET", "/", &[], role(Role::Viewer)),
            ("GET", "/ui/tasks", &[], role(Role::Viewer)),
            ("GET", "/ui/sign-in", &[], Need::Nothing),
            ("POST", "/ui/sign-in", &[], Need::Nothing),
            ("GET", "/ui/static/page.css", &[], Need::Nothing),
            ("POST", "/ui/static/page.css", &[], role(Role::Operator)),
            ("POST", "/ui/do/POST/api/v1/tasks/7/action", &[], role(Role::Operator)),
            ("POST", "/ui/do/POST/api/v1/trash/purge", &[], role(Role::Admin)),
            ("POST", "/ui/do/GET/api/v1/tasks", &[], role(Role::Operator)),
            ("POST", "/ui/do/POST/ui/do/POST/api/v1/trash/purge", &[], role(Role::Operator)),
            ("POST", "/ui/do/POST/ui/sign-in", &[], role(Role::Operator)),
            ("POST", "/ui/do/", &[], role(Role::Operator)),
            ("POST", "/api/v1/sources", &[], role(Role::Admin)),
            ("PUT", "/api/v1/sources/be-1", &[], role(Role::Admin)),
            ("POST", "/api/v1/sources/be-1/disable", &[], role(Role::Operator)),
            ("GET", "/api/v1/sources", &[], role(Role::Viewer)),
            ("DELETE", "/api/v1/cluster/masters/a", &[], role(Role::Admin)),
            ("POST", "/api/v1/campaigns", &[], role(Role::Operator)),
            ("BREW", "/api/v1/coffee", &[], role(Role::Operator)),
        ] {
            assert_eq!(needed(method, path, goals.iter().copied()), expected, "{method} {path} {goals:?}");
        }
    }
}
