//! Columns for people, and texts that may come from strangers made harmless for a terminal.

use std::fmt;

use farthing::TimeMs;

/// Rows under a head, each column as wide as its widest cell.
pub(super) struct Table(Vec<Vec<String>>);

impl Table {
    pub(super) fn new(head: &[&str]) -> Self {
        Self(vec![head.iter().map(|&cell| cell.to_owned()).collect()])
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.0.push(cells.into_iter().map(|cell| plain(&cell)).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.0.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |column: usize| self.0.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        for row in &self.0 {
            let line: String = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}  ")).collect();
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A text on one line, without what a terminal would obey: versions and errors come from other nodes.
pub(super) fn plain(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if hidden(c) { '\u{fffd}' } else { c }).collect()
}

/// How long ago a moment was.
pub(super) fn age(moment_ms: u64, now: TimeMs) -> String {
    span(now.get().saturating_sub(moment_ms) / 1_000)
}

/// How far ahead a moment is.
pub(super) fn time_left(moment_ms: u64, now: TimeMs) -> String {
    span(moment_ms.saturating_sub(now.get()).div_ceil(1_000))
}

/// The two largest units are enough for people.
fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["A", "LONG"]);
        table.row(["12345".to_owned(), "x".to_owned()]);
        assert_eq!(table.to_string(), "A      LONG\n12345  x\n");
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_printed() {
        assert_eq!(plain("evil\u{1b}[2J\n\u{202e}"), "evil\u{fffd}[2J\u{fffd}\u{fffd}");
        let mut table = Table::new(&["A"]);
        table.row(["\u{7}".to_owned()]);
        assert_eq!(table.to_string(), "A\n\u{fffd}\n");
    }

    #[test]
    fn times_are_told_in_their_two_largest_units() {
        let now = TimeMs::new(1_000_000_000);
        assert_eq!(age(999_959_000, now), "41 s");
        assert_eq!(age(999_800_000, now), "3 min 20 s");
        assert_eq!(age(1_000_000_000 - 7_260_000, now), "2 h 1 min");
        assert_eq!(age(2_000_000_000, now), "0 s", "a clock that was set back");
        assert_eq!(time_left(1_086_400_000, now), "1 d 0 h");
        assert_eq!(time_left(1_000_000_001, now), "1 s");
    }
}
