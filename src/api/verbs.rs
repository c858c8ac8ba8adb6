//! Verbs of `tabletctl` that refusals name, and the routes that do the same: whoever asks with `curl` is told the route.

/// What follows `tabletctl` in a sentence, and what is asked for instead.
const ROUTES: &[(&str, &str)] = &[
    ("disk replace", "POST /api/v1/disks/replace"),
    ("disk forget", "POST /api/v1/disks/forget"),
    ("disk register", "POST /api/v1/disks"),
    ("disk show", "GET /api/v1/disks/show?path="),
    ("disk enable", "POST /api/v1/disks/enable"),
    ("disks", "GET /api/v1/disks"),
    ("disk drain", "POST /api/v1/tasks with {\"request\": {\"kind\": \"drain\"}}"),
    ("tablet show", "GET /api/v1/tablets/{tablet_id}"),
    ("tablet heal", "POST /api/v1/tablets/{tablet_id}/heal"),
    ("tablet salvage", "POST /api/v1/tablets/{tablet_id}/salvage"),
    ("tablet verify", "POST /api/v1/tablets/{tablet_id}/verify"),
    ("tablet adopt", "POST /api/v1/tablets/adopt"),
    ("tablet set-aside", "POST /api/v1/unrecorded/set_aside"),
    ("tablet unrecorded", "GET /api/v1/unrecorded"),
    ("trash purge", "POST /api/v1/trash/purge"),
    ("trash restore", "POST /api/v1/trash/restore"),
    ("quarantine list", "GET /api/v1/quarantine"),
    ("quarantine show", "GET /api/v1/quarantine/show?disk=&entry="),
    ("operation list", "GET /api/v1/operations"),
    ("operation show", "GET /api/v1/operations/{id}"),
    ("task show", "GET /api/v1/tasks/{id}"),
    ("task move", "POST /api/v1/tasks with {\"request\": {\"kind\": \"move\"}}"),
    ("task replan", "POST /api/v1/tasks/{id}/action with {\"replan\": {}}"),
    ("migration settle", "POST /api/v1/migrations/{id}/action with {\"settle\": {}}"),
    ("migrate", "POST /api/v1/migrations"),
    ("abort", "POST /api/v1/migrations/{id}/action with {\"abort\": {}}"),
];

/// The routes of the verbs that a sentence names, in its order; `None` where it names none that has one.
pub(super) fn routes_named(sentence: &str) -> Option<String> {
    let mut routes = Vec::new();
    for said in sentence.split("tabletctl ").skip(1) {
        let named = ROUTES.iter().find(|(verb, _)| {
            said.strip_prefix(verb)
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-'))
        });
        routes.extend(named.map(|(verb, route)| format!("{route} is tabletctl {verb}")));
    }
    routes.dedup();
    (!routes.is_empty()).then(|| routes.join("; "))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::api::router;

    #[test]
    fn a_sentence_is_told_again_in_routes() {
        let said = "it is damaged: tabletctl tablet heal 7, or tabletctl tablet salvage 7 --to DISK";
        assert_eq!(
            routes_named(said).as_deref(),
            Some(
                "POST /api/v1/tablets/{tablet_id}/heal is tabletctl tablet heal; \
                 POST /api/v1/tablets/{tablet_id}/salvage is tabletctl tablet salvage"
            )
        );
        assert_eq!(routes_named("tabletctl token create makes one"), None);
        assert_eq!(routes_named("tabletctl migrations are many"), None);
    }

    #[test]
    fn every_route_is_served() {
        let served = router::paths();
        for (verb, route) in ROUTES {
            let path = route.split([' ', '?']).nth(1).expect("a method and a path");
            assert!(served.iter().any(|one| one == path), "{verb}: {path} in {served:?}");
        }
    }

    /// What needs no daemon, or is not asked of one, has no route.
    const WITHOUT: &[&str] = &["doris", "fleet ", "token create"];

    #[test]
    fn every_verb_that_a_refusal_may_name_has_its_route() {
        fn look(dir: &Path, missing: &mut Vec<String>) {
            for entry in fs::read_dir(dir).expect("the sources").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    look(&path, missing);
                    continue;
                }
                let text = fs::read_to_string(&path).expect("text");
                let code = text.split("\n#[cfg(test)]").next().unwrap_or_default().replace("\\\n", " ");
                // A sentence that goes on in the next line of the source has blanks there.
                let code = code.split_whitespace().collect::<Vec<_>>().join(" ");
                for said in code.split("tabletctl ").skip(1) {
                    let named = format!("tabletctl {}", said.chars().take(40).collect::<String>());
                    let known =
                        routes_named(&named).is_some() || WITHOUT.iter().any(|verb| said.starts_with(verb));
                    // In the middle of a sentence about the program, or of a format string that names the verb elsewhere.
                    if !known && said.starts_with(|c: char| c.is_ascii_lowercase()) {
                        missing.push(format!("{}: {named}", path.display()));
                    }
                }
            }
        }
        let mut missing = Vec::new();
        for room in ["engine", "model", "rules", "storage", "access"] {
            look(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(room), &mut missing);
        }
        assert!(missing.is_empty(), "no route for what these name: {missing:#?}");
    }
}
