//! The man pages: of `tabletd`, `tabletfleet` and of every command of `tabletctl` in section 8, of be.conf in section 5.

use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::args::Cli;
use crate::fleet::Arguments as FleetArguments;
use crate::service::Arguments;

/// Every key with its default and its comment: the page says what the file says.
const BE_CONF: &str = include_str!("../../conf/be.conf");

/// Writes them all into a directory that is there.
///
/// # Errors
/// As `open(2)` and `write(2)`.
pub(super) fn write_all(dir: &Path) -> io::Result<()> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    write(dir, &command)?;
    write(dir, &Arguments::command())?;
    write(dir, &FleetArguments::command())?;
    fs::write(dir.join("be.conf.5"), be_conf(BE_CONF))
}

/// One page for a command, and one for each below it.
fn write(dir: &Path, command: &Command) -> io::Result<()> {
    command.get_subcommands().try_for_each(|below| write(dir, below))?;
    Man::new(command.clone()).section("8").manual("tabletd").generate_to(dir).map(drop)
}

/// be.conf as a page: headings as sections, comments as text, keys in bold.
fn be_conf(text: &str) -> String {
    let mut page = format!(
        ".TH be.conf 5 \"\" \"tabletd {}\" tabletd\n.SH NAME\nbe.conf \\- configuration of tabletd\n.SH DESCRIPTION\n",
        env!("CARGO_PKG_VERSION")
    );
    let mut text_line = |line: &str| {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        // A dot or an apostrophe at the front would be a request.
        let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
        writeln!(page, "{guard}{line}").expect("a String takes everything");
    };
    for line in text.lines().skip(1) {
        match line.strip_prefix('#').map(|comment| comment.strip_prefix(' ').unwrap_or(comment)) {
            Some(comment) if comment.starts_with("----") => {
                text_line("");
                let heading = comment.trim_matches(['-', ' ']).to_uppercase();
                text_line(&format!("{HEADING}{heading}"));
            }
            // Spaced text is an example or a table: as it stands.
            Some(comment) if comment.starts_with("  ") => text_line(&format!("{VERBATIM}{comment}")),
            Some(comment) if comment.contains(" = ") && !comment.contains(". ") => {
                text_line(&format!("{KEY}{comment}"));
            }
            Some(comment) => text_line(comment),
            None if line.is_empty() => text_line(PARAGRAPH),
            None => text_line(&format!("{KEY}{line}")),
        }
    }
    finish(&page)
}

// Stand-ins for roff requests while text is escaped: no configuration has control characters.
const HEADING: &str = "\u{1}";
const VERBATIM: &str = "\u{2}";
const KEY: &str = "\u{3}";
const PARAGRAPH: &str = "\u{4}";

fn finish(page: &str) -> String {
    let mut finished = String::with_capacity(page.len());
    for line in page.lines().filter(|line| !line.is_empty()) {
        let _ = match line.chars().next().map(|first| (first.to_string(), &line[first.len_utf8()..])) {
            Some((first, rest)) if first == HEADING => writeln!(finished, ".SH \"{rest}\""),
            Some((first, rest)) if first == VERBATIM => writeln!(finished, ".nf\n{rest}\n.fi"),
            Some((first, rest)) if first == KEY => writeln!(finished, ".br\n\\fB{rest}\\fR"),
            Some((first, _)) if first == PARAGRAPH => writeln!(finished, ".PP"),
            _ => writeln!(finished, "{line}"),
        };
    }
    finished
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KEYS;

    #[test]
    fn the_page_of_be_conf_has_every_key_in_bold_and_no_stray_request() {
        let page = be_conf(BE_CONF);
        for key in KEYS {
            assert!(page.contains(&format!("\\fB{}", key.name)), "{} in\n{page}", key.name);
        }
        let requests = [".TH", ".SH", ".PP", ".nf", ".fi", ".br"];
        let stray =
            page.lines().find(|line| line.starts_with('.') && !requests.iter().any(|r| line.starts_with(r)));
        assert_eq!(stray, None);
        assert!(!page.contains(|c: char| c.is_control() && c != '\n'));
    }

    #[test]
    fn text_that_looks_like_a_request_is_text() {
        let page = be_conf("# first\n# .so /etc/passwd\n# a-b \\c\n");
        assert!(page.contains("\\&.so /etc/passwd\na\\-b \\ec\n"), "{page}");
    }
}
