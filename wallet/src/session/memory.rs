//! Lines of earlier sessions, in a private file of bounded size. Only answers that were understood get there: names,
//! addresses, amounts and words. What is typed without echo never passes through here.

use std::path::PathBuf;

use crate::{context::Context, disk, terminal::MOST_LINES};

/// Longest file that is read.
const MAX_FILE_BYTES: u64 = 256 * 1024;
/// Longest line that is kept.
const MAX_LINE_BYTES: usize = 300;

fn path(context: &Context) -> PathBuf {
    context.wallet.home().join("session-history")
}

/// The lines, the oldest first. A file that cannot be read is none: nobody's money depends on it.
pub(super) fn lines(context: &Context) -> Vec<String> {
    let Ok(bytes) = disk::read_private(&path(context), MAX_FILE_BYTES) else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&bytes);
    let mut lines: Vec<String> = text.lines().filter(|line| is_fit(line)).map(str::to_owned).collect();
    lines.drain(..lines.len().saturating_sub(MOST_LINES));
    lines
}

/// Adds a line behind those that this or another session wrote.
pub(super) fn remember(context: &mut Context, line: &str) {
    if !is_fit(line) {
        return;
    }
    context.terminal.remember(line);
    let mut lines = lines(context);
    if lines.last().is_some_and(|last| last == line) {
        return;
    }
    lines.push(line.to_owned());
    lines.drain(..lines.len().saturating_sub(MOST_LINES));
    // As with reading.
    let _ = disk::replace_private(&path(context), (lines.join("\n") + "\n").as_bytes());
}

fn is_fit(line: &str) -> bool {
    !line.is_empty() && line.len() <= MAX_LINE_BYTES && !line.chars().any(char::is_control)
}
