//! What surrounds every view: the head, the way around, who is signed in, and what is said when something is refused.

use maud::{DOCTYPE, Markup, html};

use super::assets;
use super::view::{Section, View};
use crate::api::{Refused, SignIn, Visitor};

/// Everything comes from this service, nothing stands in the HTML itself, and nobody frames it.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src \
                                 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const SECTIONS: [(Section, &str, &str); 9] = [
    (Section::Node, "/", "Node"),
    (Section::Tasks, "/ui/tasks", "Tasks"),
    (Section::Migrations, "/ui/migrations", "Migrations"),
    (Section::Tablets, "/ui/tablets", "Tablets"),
    (Section::Operations, "/ui/operations", "Operations"),
    (Section::Trash, "/ui/trash", "Trash"),
    (Section::Events, "/ui/events", "Events"),
    (Section::Doris, "/ui/doris", "Doris roots"),
    (Section::Api, "/ui/api", "API"),
];

/// The whole page; Doris roots have their view where there are any.
pub(super) fn around(visitor: &Visitor, here: &str, has_doris_roots: bool, view: &View) -> Markup {
    let shown = |section| section != Section::Doris || has_doris_roots;
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (view.title) " - tabletd" }
                link rel="icon" href=(assets::at("icon.svg"));
                link rel="stylesheet" href=(assets::at("page.css"));
                script defer src=(assets::at("page.js")) {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header {
                    a.brand href="/" { "tabletd" }
                    nav aria-label="Sections" {
                        @for (section, href, name) in SECTIONS.into_iter().filter(|(section, ..)| shown(*section)) {
                            a href=(href) aria-current=[(section == view.section).then_some("page")] { (name) }
                        }
                    }
                    (who(visitor))
                }
                main id="main" tabindex="-1" {
                    h1 { (view.title) }
                    (view.body)
                }
                footer {
                    noscript { a href=(here) { "Look again" } " (without a script the page stays as it is)" }
                }
            }
        }
    }
}

/// Who is signed in, and how to.
fn who(visitor: &Visitor) -> Markup {
    html! {
        div.who {
            span id="live" role="status" {}
            @match visitor.entry {
                SignIn::Done => {
                    span { (visitor.token.as_deref().unwrap_or_default()) " (" (visitor.role) ")" }
                    form method="post" action="/ui/sign-out" {
                        input type="hidden" name="csrf" value=(visitor.csrf);
                        button type="submit" { "Sign out" }
                    }
                }
                SignIn::Possible => a href="/ui/sign-in" { "Sign in" },
                SignIn::NoTokens => span title="No token exists; tabletctl token create makes one" { "no sign-in" },
                SignIn::NotPrivate => span { "read over plain HTTP" },
            }
        }
    }
}

/// What is said when something is refused.
pub(super) fn trouble(refused: &Refused) -> View {
    let error = &refused.error;
    let body = html! {
        section.trouble role="alert" {
            p { (error.error_msg) }
            @if let Some(hint) = &error.hint { p { (hint) } }
            p { code { (error.error_code) } " (HTTP " (refused.status.as_u16()) ")" }
        }
        p { a href="/" { "To the node" } }
    };
    let title = if refused.status.is_server_error() { "Failed" } else { "Refused: nothing was changed" };
    View { title: title.to_owned(), section: Section::Elsewhere, body }
}
