//! Markdown as HTML: what the comments in the source say of each call. HTML in it is shown as text, and a link goes
//! nowhere but into this page, this service, or to a web address.

use maud::{Markup, PreEscaped};
use pulldown_cmark::{BrokenLink, CowStr, Event, Options, Parser, Tag, TagEnd, html};

/// Paragraphs, lists and tables.
pub(super) fn block(text: &str) -> Markup {
    rendered(text, |_| true)
}

/// One line of it, for where a paragraph has no room.
pub(super) fn line(text: &str) -> Markup {
    rendered(text, |event| !matches!(event, Event::Start(Tag::Paragraph) | Event::End(TagEnd::Paragraph)))
}

fn rendered(text: &str, keep: impl Fn(&Event<'_>) -> bool) -> Markup {
    // A name in brackets that leads nowhere is a name.
    let mut lone = |_: BrokenLink<'_>| Some((CowStr::Borrowed(""), CowStr::Borrowed("")));
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let parser = Parser::new_with_broken_link_callback(text, options, Some(&mut lone));
    let mut links = Vec::new();
    let events = parser.filter_map(|event| tamed(event, &mut links)).filter(|event| keep(event));
    let mut out = String::with_capacity(text.len() * 2);
    html::push_html(&mut out, events);
    PreEscaped(out)
}

/// What may stand in a page among others: no HTML of its own, no picture, no heading; `links` has for each open link
/// whether it is one.
fn tamed<'a>(event: Event<'a>, links: &mut Vec<bool>) -> Option<Event<'a>> {
    match event {
        Event::Html(text) | Event::InlineHtml(text) => Some(Event::Text(text)),
        Event::Start(Tag::Heading { .. }) => Some(Event::Start(Tag::Strong)),
        Event::End(TagEnd::Heading(_)) => Some(Event::End(TagEnd::Strong)),
        Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => None,
        Event::Start(Tag::Link { ref dest_url, .. }) => {
            let leads = ["#", "/", "https://", "http://"].iter().any(|begin| dest_url.starts_with(begin));
            links.push(leads && !dest_url.starts_with("//"));
            links.last().is_some_and(|leads| *leads).then_some(event)
        }
        Event::End(TagEnd::Link) => links.pop().unwrap_or(false).then_some(event),
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_is_laid_out_and_what_would_do_harm_is_text() {
        for (text, html) in [
            (
                "plain `code` *and* **strong**",
                "<p>plain <code>code</code> <em>and</em> <strong>strong</strong></p>",
            ),
            ("- one\n- two", "<ul>\n<li>one</li>\n<li>two</li>\n</ul>"),
            (
                "see [`Tablet`] and [there](#schema-Tablet)",
                "<p>see <code>Tablet</code> and <a href=\"#schema-Tablet\">there</a></p>",
            ),
            ("<disk>/data <img src=x onerror=a()>", "<p>&lt;disk&gt;/data &lt;img src=x onerror=a()&gt;</p>"),
            ("[x](javascript:a()) [y](//evil.example) ![z](http://evil.example/p.png)", "<p>x y z</p>"),
        ] {
            assert_eq!(block(text).into_string().trim(), html);
        }
        assert!(block("| a | b |\n|---|---|\n| 1 | 2 |").into_string().contains("<td>2</td>"));
        assert!(!block("# Errors\n\nnone").into_string().contains("<h1"));
        assert_eq!(line("one `two`").into_string(), "one <code>two</code>");
    }
}
