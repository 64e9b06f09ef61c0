//! Lines typed with an editor: cursor keys, earlier lines, completion with Tab.

use std::{cell::OnceCell, fmt, io};

use rustyline::{
    Behavior, CompletionType, Config, Context, Editor, ExternalPrinter as _, Helper, Prompt, completion::Completer,
    error::ReadlineError, highlight::Highlighter, hint::Hinter, history::MemHistory, validate::Validator,
};

use super::{Printer, Reply, Wording, columns_of_a_question};

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

/// A question that says how things stand whenever it is drawn. The editor reckons with the width that it had at first, so that
/// it keeps that.
struct Standing<'a> {
    question: &'a Wording<'a>,
    width: usize,
    first: Drawn,
}

/// What was drawn, and what was drawn after it: the editor may still hold on to either.
struct Drawn {
    text: String,
    next: OnceCell<Box<Drawn>>,
}

impl<'a> Standing<'a> {
    fn new(question: &'a Wording<'a>) -> Self {
        let text = question(columns_of_a_question());
        Self { question, width: text.chars().count(), first: Drawn { text, next: OnceCell::new() } }
    }

    /// As it stands now; none if that is too wide.
    fn now(&self) -> Option<String> {
        let (text, width) = ((self.question)(self.width), self.width);
        (text.chars().count() <= width).then(|| format!("{text:<width$}"))
    }
}

impl Prompt for Standing<'_> {
    fn raw(&self) -> &str {
        let mut last = &self.first;
        while let Some(next) = last.next.get() {
            last = next;
        }
        match self.now().filter(|now| *now != last.text) {
            Some(text) => &last.next.get_or_init(|| Box::new(Drawn { text, next: OnceCell::new() })).text,
            None => &last.text,
        }
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

    pub(super) fn ask(&mut self, question: &Wording<'_>, words: &[String]) -> io::Result<Reply> {
        if let Some(helper) = self.0.helper_mut() {
            helper.0 = words.to_vec();
        }
        match self.0.readline(&Standing::new(question)) {
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_question_says_how_things_stand_and_keeps_its_width() {
        let balance = Cell::new("1000000");
        let question = |columns: usize| {
            let long = format!("[{}] Whom to pay: ", balance.get());
            if long.len() <= columns { long } else { format!("[{}] To: ", balance.get()) }
        };
        let standing = Standing::new(&question);
        let first = standing.raw();
        for (now, shown) in [
            ("1000001", "[1000001] Whom to pay: "),
            ("5", "[5] Whom to pay:       "),
            ("12345678.5", "[12345678.5] To:       "),
            // Too wide: the last one stays.
            ("1234567890.12345678", "[12345678.5] To:       "),
        ] {
            balance.set(now);
            assert_eq!(standing.raw(), shown);
            assert_eq!(standing.raw(), shown);
        }
        assert_eq!(first, "[1000000] Whom to pay: ");
    }
}
