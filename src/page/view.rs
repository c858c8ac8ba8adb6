//! A view: what is to be seen, and where it belongs.

use maud::{Markup, html};

/// Where a view belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Node,
    Tasks,
    Migrations,
    Tablets,
    Operations,
    Trash,
    Events,
    Doris,
    Api,
    Elsewhere,
}

/// What is to be seen.
pub(super) struct View {
    /// For the window and the heading.
    pub(super) title: String,
    pub(super) section: Section,
    pub(super) body: Markup,
}

/// The way to the next page of a list.
pub(super) fn next_page(href: Option<String>, shown: usize, total: u64) -> Markup {
    html! {
        p.pages {
            (shown) " shown of " (total)
            @if let Some(href) = href { " " a.more rel="next" href=(href) { "Next" } }
        }
    }
}
