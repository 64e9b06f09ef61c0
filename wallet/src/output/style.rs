//! The few styles that the wallet uses, and whether a stream gets them.
//!
//! A text may hold a style anywhere, as `{AMOUNT}12.5{AMOUNT:#} far`: [`super::Output`] takes it out again for a stream
//! that gets none.

use std::io::{self, IsTerminal as _};

use anstream::{AutoStream, ColorChoice, stream::RawStream};
use anstyle::{AnsiColor, Effects, Style};

/// What went wrong.
pub const ERROR: Style = AnsiColor::Red.on_default().effects(Effects::BOLD);
/// What should not be overlooked.
pub const WARNING: Style = AnsiColor::Yellow.on_default().effects(Effects::BOLD);
/// What to do next, and what is typed.
pub const TRY: Style = AnsiColor::Cyan.on_default();
/// Money.
pub const AMOUNT: Style = Style::new().bold();
/// Money that came, and what was verified.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// What is beside the point.
pub const FAINT: Style = Style::new().dimmed();

/// Which of the two streams show styles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Styled {
    /// Results.
    pub data: bool,
    /// Remarks.
    pub remarks: bool,
}

impl Styled {
    /// What this process's streams are fit for: terminals only, unless `NO_COLOR` is set, `TERM` is `dumb`, or
    /// `forbidden` by a flag.
    #[must_use]
    pub fn standard(forbidden: bool) -> Self {
        if forbidden {
            return Self::default();
        }
        Self { data: is_wanted(&io::stdout()), remarks: is_wanted(&io::stderr()) }
    }
}

fn is_wanted<S: RawStream>(stream: &S) -> bool {
    !matches!(AutoStream::choice(stream), ColorChoice::Never)
}

/// Whether stderr is a terminal on which a line can be drawn again and again.
#[must_use]
pub fn can_redraw() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}

/// A text in a style.
#[must_use]
pub fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// A text for a stream: as it is, or without its styles.
#[must_use]
pub fn fit(text: String, styled: bool) -> String {
    if styled || !text.contains('\u{1b}') { text } else { anstream::adapter::strip_str(&text).to_string() }
}
