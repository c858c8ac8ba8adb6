//! Plain tables and numbers for people. Programs read `--json`.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement};

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
pub(super) struct Table {
    table: comfy_table::Table,
    rows: usize,
    /// Whether any row has something in the last column, which is for remarks in most tables.
    says_last: bool,
}

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
        Self { table, rows: 0, says_last: false }
    }

    /// Adds a row; a cell that is missing is empty. Control characters, which may come from a file name, are shown
    /// escaped: a table is not a way to a terminal.
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows += 1;
        self.says_last |= cells.last().is_some_and(|last| !last.is_empty());
        self.table.add_row(cells.into_iter().map(|cell| printable(&cell)));
    }

    /// The table as lines that end without blanks. A last column in which no row says anything is left out.
    pub(super) fn render(mut self) -> String {
        let last = self.table.column_count().saturating_sub(1);
        if let Some(column) = self.table.column_mut(last).filter(|_| self.rows > 0 && !self.says_last) {
            column.set_constraint(ColumnConstraint::Hidden);
        }
        self.table.lines().fold(String::new(), |text, line| text + line.trim_end() + "\n")
    }

    /// The table, or, where it has no row, what that means: a heading with nothing below it looks like a fault.
    pub(super) fn render_or(self, nothing: &str) -> String {
        if self.rows == 0 { format!("{nothing}\n") } else { self.render() }
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
    fn remarks_that_nobody_makes_take_no_column_and_no_row_is_said_in_words() {
        let columns = [("PATH", Align::Left), ("WHY", Align::Left)];
        let mut table = Table::new(&columns);
        table.row(["/d1".into(), String::new()]);
        assert_eq!(table.render_or("no disk"), "PATH\n/d1\n");
        assert_eq!(Table::new(&columns).render_or("no disk"), "no disk\n");
    }

    #[test]
    fn a_file_name_cannot_speak_to_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\\n");
        assert_eq!(printable("größe"), "größe");
    }
}
