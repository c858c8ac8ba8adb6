//! Plain tables and numbers for people. Programs read `--json`.

use comfy_table::{CellAlignment, ContentArrangement};

pub(super) use crate::model::human_bytes;
use crate::model::printable;

/// Which edge a column keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Rows of text in columns as wide as they need to be.
#[derive(Debug)]
pub(super) struct Table(comfy_table::Table);

impl Table {
    /// An empty table with these headings.
    pub(super) fn new(columns: &[(&'static str, Align)]) -> Self {
        let mut table = comfy_table::Table::new();
        // Neither frames nor line breaks: lines are for `grep` and `awk` too.
        table.load_style(comfy_table::presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(columns.iter().map(|(name, _)| *name));
        for (column, (_, align)) in table.column_iter_mut().zip(columns) {
            column.set_padding((0, 2)).set_cell_alignment(match align {
                Align::Left => CellAlignment::Left,
                Align::Right => CellAlignment::Right,
            });
        }
        Self(table)
    }

    /// Adds a row; a cell that is missing is empty. Control characters, which may come from a file name, are shown
    /// escaped: a table is not a way to a terminal.
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.0.add_row(cells.into_iter().map(|cell| printable(&cell)));
    }

    /// The table as lines that end without blanks.
    pub(super) fn render(&self) -> String {
        self.0.lines().fold(String::new(), |text, line| text + line.trim_end() + "\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_end_without_blanks() {
        let mut table = Table::new(&[("PATH", Align::Left), ("SIZE", Align::Right), ("WHY", Align::Left)]);
        table.row(["/d1".into(), "1".into(), String::new()]);
        table.row(["/disk2".into(), "12345".into(), "full".into()]);
        assert_eq!(table.render(), "PATH     SIZE  WHY\n/d1         1\n/disk2  12345  full\n");
    }

    #[test]
    fn a_file_name_cannot_speak_to_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\\n");
        assert_eq!(printable("größe"), "größe");
    }
}
