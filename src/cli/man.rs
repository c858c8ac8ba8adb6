//! The man pages: of `tabletd`, `tabletfleet` and of every command of `tabletctl` in section 8, of be.conf in section 5.

use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

use clap::builder::Resettable;
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
    // What stands behind the options in --help is a list with a heading, which a page has as a section of its own.
    let behind = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let man = Man::new(command.clone().after_help(Resettable::Reset)).section("8").manual("tabletd");
    let mut page = Vec::new();
    man.render(&mut page)?;
    page.extend(sections(&behind).bytes());
    page.extend(see_also(command).bytes());
    fs::write(dir.join(man.get_filename()), page)
}

/// `Heading:` as a section, and each `  term  meaning` below it as an entry of a list.
fn sections(text: &str) -> String {
    let mut page = String::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let told = line.trim_start();
        let indent = line.len() - told.len();
        match (indent, told.split_once("  ")) {
            (0, _) => page += &format!(".SH \"{}\"\n", escaped(told.trim_end_matches(':')).to_uppercase()),
            (2, Some((term, meaning))) => {
                page += &format!(".TP\n\\fB{}\\fR\n{}\n", escaped(term), escaped(meaning.trim_start()));
            }
            // It goes on from the line before.
            _ => page += &format!("{}\n", escaped(told)),
        }
    }
    page
}

/// The pages that say what this one does not.
fn see_also(command: &Command) -> String {
    let mut pages = vec!["tabletd(8)", "tabletctl(8)", "be.conf(5)"];
    pages.retain(|page| !page.starts_with(&format!("{}(", command.get_name())));
    let pages: Vec<_> = pages.into_iter().map(|page| page.replace('.', "\\&.")).collect();
    format!(".SH \"SEE ALSO\"\n{}\n", pages.join(", "))
}

/// Text that is no request and no escape.
fn escaped(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-");
    // A dot or an apostrophe at the front would be a request.
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
}

/// be.conf as a page: headings as sections, comments as text, keys in bold.
fn be_conf(text: &str) -> String {
    let mut page = format!(
        ".TH be.conf 5 \"\" \"tabletd {}\" tabletd\n.SH NAME\nbe.conf \\- configuration of tabletd\n.SH DESCRIPTION\n",
        env!("CARGO_PKG_VERSION")
    );
    let mut text_line = |line: &str| {
        writeln!(page, "{}", escaped(line)).expect("a String takes everything");
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
    finish(&page) + ".SH \"SEE ALSO\"\ntabletd(8), tabletctl\\-config(8)\n"
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
    fn what_stands_behind_the_options_is_sections_with_lists() {
        let page =
            sections("Exit status:\n  0  done\n  1  it failed;\n     say why\n\nFiles:\n  /etc/x-y  .it\n");
        let expected = ".SH \"EXIT STATUS\"\n.TP\n\\fB0\\fR\ndone\n.TP\n\\fB1\\fR\nit failed;\nsay why\n\
             .SH \"FILES\"\n.TP\n\\fB/etc/x\\-y\\fR\n\\&.it\n";
        assert_eq!(page, expected);
    }

    #[test]
    fn groff_has_nothing_to_say_about_any_page() {
        if std::process::Command::new("groff").arg("--version").output().is_err() {
            assert!(std::env::var_os("TABLETD_REQUIRE_ROOT_TESTS").is_none(), "groff is not installed");
            eprintln!("skipped: groff is not installed");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        write_all(dir.path()).unwrap();
        let pages: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|page| page.unwrap().path()).collect();
        assert!(pages.len() > 100, "a page for each command");
        let said = std::process::Command::new("groff")
            .args(["-man", "-ww", "-Tutf8", "-z"])
            .args(&pages)
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&said.stderr), "");
        for page in pages {
            let text = fs::read_to_string(&page).unwrap();
            for section in ["NAME", "SEE ALSO"] {
                assert!(
                    text.contains(&format!(".SH {section}\n"))
                        || text.contains(&format!(".SH \"{section}\"\n")),
                    "{section} in {}",
                    page.display()
                );
            }
        }
    }

    #[test]
    fn text_that_looks_like_a_request_is_text() {
        let page = be_conf("# first\n# .so /etc/passwd\n# a-b \\c\n");
        assert!(page.contains("\\&.so /etc/passwd\na\\-b \\ec\n"), "{page}");
    }
}
