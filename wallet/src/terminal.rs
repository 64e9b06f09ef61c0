//! The person at the keyboard, or nobody.

mod editor;

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

use zeroize::Zeroizing;

use crate::output::style::can_redraw;

/// Longest line that is read.
const MAX_LINE_BYTES: u64 = 4096;

use self::editor::LineEditor;
pub use self::editor::MOST_LINES;

/// Prints a text above the line that somebody is typing, or at once if nobody is.
pub type Printer = Box<dyn FnMut(String) + Send>;

/// What a question says in so many columns at most, as things stand at that moment. It is asked for whenever the line is drawn.
pub type Wording<'a> = dyn Fn(usize) -> String + 'a;

/// Columns of a terminal that does not say how many it has.
const USUAL_COLUMNS: usize = 80;

/// Columns of the terminal behind a stream; none if there is none.
#[must_use]
pub fn columns(stream: impl std::os::fd::AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    Some(if size.ws_col == 0 { USUAL_COLUMNS } else { size.ws_col.into() })
}

/// Columns that a question may take, so that an answer has room beside it.
#[must_use]
pub fn columns_of_a_question() -> usize {
    columns(io::stderr()).unwrap_or(USUAL_COLUMNS).saturating_sub(ROOM)
}

/// Columns that are left for an answer.
const ROOM: usize = 16;

/// How a question that an editor asked ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// With a line.
    Line(String),
    /// With Ctrl-C: the question is given up.
    GivenUp,
    /// With the end of input (Ctrl-D).
    End,
}

/// Someone who can answer.
pub trait Terminal: Send {
    /// Lets lines be typed with an editor from now on, which can call earlier ones back. Gives what prints above such a
    /// line; none if there is no editor, because nobody or no fit terminal is there.
    fn open_editor(&mut self, _earlier: &[String]) -> Option<Printer> {
        None
    }

    /// Asks with the editor, which completes these words; none if there is none.
    fn edit(&mut self, _question: &Wording<'_>, _words: &[String]) -> Option<io::Result<Reply>> {
        None
    }

    /// Lets the editor call this line back.
    fn remember(&mut self, _line: &str) {}

    /// Forgets what was typed and not read yet.
    fn drop_typed(&mut self) {}

    /// Whether anybody is there.
    fn is_interactive(&self) -> bool;

    /// The next line, without its end; none at the end of input (Ctrl-D).
    ///
    /// # Errors
    /// What the system says.
    fn line(&mut self) -> io::Result<Option<String>>;

    /// A line that is not echoed.
    ///
    /// # Errors
    /// What the system says.
    fn secret(&mut self, prompt: &str) -> io::Result<Zeroizing<String>>;
}

/// This process's terminal.
#[derive(Debug, Default)]
pub struct SystemTerminal {
    editor: Option<LineEditor>,
}

impl Terminal for SystemTerminal {
    fn open_editor(&mut self, earlier: &[String]) -> Option<Printer> {
        if !self.is_interactive() || !can_redraw() {
            return None;
        }
        let (editor, printer) = LineEditor::open(earlier)?;
        self.editor = Some(editor);
        Some(printer)
    }

    fn edit(&mut self, question: &Wording<'_>, words: &[String]) -> Option<io::Result<Reply>> {
        Some(self.editor.as_mut()?.ask(question, words))
    }

    fn remember(&mut self, line: &str) {
        if let Some(editor) = &mut self.editor {
            editor.remember(line);
        }
    }

    fn drop_typed(&mut self) {
        // If it cannot be dropped, it is read as an answer, as it was meant perhaps.
        let _ = rustix::termios::tcflush(io::stdin(), rustix::termios::QueueSelector::IFlush);
    }

    fn is_interactive(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    fn line(&mut self) -> io::Result<Option<String>> {
        let mut bytes = Vec::new();
        io::stdin().lock().take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        Ok(Some(String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned()))
    }

    fn secret(&mut self, prompt: &str) -> io::Result<Zeroizing<String>> {
        // Silent before the question is asked, so that not even a quick first letter shows.
        let before = Settings::remember();
        before.silence();
        let answer = rpassword::prompt_password(prompt).map(Zeroizing::new);
        before.restore();
        answer
    }
}

/// What one keeps of the terminal to set it right after an interruption, which may come while the echo is off.
#[derive(Debug)]
pub struct Settings(Option<rustix::termios::Termios>);

impl Settings {
    /// Remembers how the terminal is now.
    #[must_use]
    pub fn remember() -> Self {
        Self(rustix::termios::tcgetattr(io::stdin()).ok())
    }

    /// Turns the echo off.
    fn silence(&self) {
        if let Some(settings) = &self.0 {
            let mut silent = settings.clone();
            silent.local_modes.remove(rustix::termios::LocalModes::ECHO);
            // The reader of passphrases turns it off too, only a little later.
            let _ = rustix::termios::tcsetattr(io::stdin(), rustix::termios::OptionalActions::Now, &silent);
        }
    }

    /// Sets it back.
    pub fn restore(&self) {
        if let Some(settings) = &self.0 {
            // Nothing can be done if the terminal is gone.
            let _ = rustix::termios::tcsetattr(io::stdin(), rustix::termios::OptionalActions::Now, settings);
        }
    }
}
