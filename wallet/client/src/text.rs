//! Texts that somebody else wrote.

/// Most characters of a name, a reason or a version that are kept.
pub(crate) const MAX_TEXT: usize = 80;
/// Most characters of a message.
pub(crate) const MAX_MESSAGE: usize = 500;

/// A text that somebody else wrote, fit for a terminal or a log: what could command it is escaped, a long one is cut.
#[must_use]
pub fn printable(text: &str, max: usize) -> String {
    let mut shown = String::new();
    for character in text.chars().take(max) {
        match character {
            // Harmless, and frequent in sentences.
            '\'' => shown.push('\''),
            other => shown.extend(other.escape_debug()),
        }
    }
    if text.chars().nth(max).is_some() {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_command_the_terminal() {
        assert_eq!(printable("\x1b[2Jhi\n", 100), "\\u{1b}[2Jhi\\n");
        assert_eq!(printable("k\u{e4}se isn't \u{202e}esrever", 100), "k\u{e4}se isn't \\u{202e}esrever");
        assert_eq!(printable("12345", 4), "1234...");
    }
}
