//! Lines typed with an editor: cursor keys, earlier lines, completion with Tab.

use std::{fmt, io};

use rustyline::{
    Behavior, CompletionType, Config, Context, Editor, ExternalPrinter as _, Helper, completion::Completer,
    error::ReadlineError, highlight::Highlighter, hint::Hinter, history::MemHistory, validate::Validator,
};

use super::{Printer, Reply};

/// Longest line that is taken.
const MOST_CHARS: usize = 4096;

/// How many earlier lines can be called back.
pub const MOST_LINES: usize = 500;

/// What Tab completes.
#[derive(Default)]
struct Words(Vec<String>);

impl Helper for Words {}
impl Validator for Words {}
impl Highlighter for Words {}

impl Hinter for Words {
    type Hint = String;
}

impl Completer for Words {
    type Candidate = String;

    fn complete(&self, line: &str, cursor: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = line.get(..cursor).unwrap_or(line).to_lowercase();
        // An answer is one word, so that what is completed begins with the line.
        Ok((0, self.0.iter().filter(|word| word.starts_with(&typed)).cloned().collect()))
    }
}

/// The editor.
pub(super) struct LineEditor(Editor<Words, MemHistory>);

impl fmt::Debug for LineEditor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LineEditor")
    }
}

impl LineEditor {
    /// An editor that knows earlier lines, and what prints above the line that is being typed; none if the terminal is
    /// not fit for it.
    pub(super) fn open(earlier: &[String]) -> Option<(Self, Printer)> {
        let config = Config::builder()
            .max_history_size(MOST_LINES)
            .ok()?
            .completion_type(CompletionType::List)
            // What is typed is asked of the terminal itself, whatever becomes of stdout.
            .behavior(Behavior::PreferTerm)
            .build();
        let history = MemHistory::with_config(&config);
        let mut editor = Editor::with_history(config, history).ok()?;
        editor.set_helper(Some(Words::default()));
        for line in earlier {
            editor.add_history_entry(line.as_str()).ok()?;
        }
        let mut printer = editor.create_external_printer().ok()?;
        // Nobody is left to tell when the terminal is gone.
        let print = move |text: String| drop(printer.print(text));
        Some((Self(editor), Box::new(print)))
    }

    pub(super) fn ask(&mut self, question: &str, words: &[String]) -> io::Result<Reply> {
        if let Some(helper) = self.0.helper_mut() {
            helper.0 = words.to_vec();
        }
        match self.0.readline(question) {
            Ok(line) => Ok(Reply::Line(line.chars().take(MOST_CHARS).collect())),
            Err(ReadlineError::Eof) => Ok(Reply::End),
            Err(ReadlineError::Interrupted) => Ok(Reply::GivenUp),
            Err(ReadlineError::Io(error)) => Err(error),
            Err(other) => Err(io::Error::other(other)),
        }
    }

    pub(super) fn remember(&mut self, line: &str) {
        // Only its own memory can be full.
        let _ = self.0.add_history_entry(line);
    }
}
