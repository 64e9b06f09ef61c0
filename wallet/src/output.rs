//! The only room that prints: data on stdout, everything else on stderr; with `--json`, one object of a stated schema
//! a line. Styles and progress only where a person sees them.

mod progress;
pub mod qr;
pub mod style;

use std::{
    fmt::Display,
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;

pub use self::progress::Progress;
use self::{
    progress::Stage,
    style::{ERROR, Styled, TRY, WARNING, paint},
};
use crate::{
    error::{Error, Exit, Explain, Report},
    terminal::columns,
};

/// Version of the JSON that commands print; raised when a field changes its meaning or goes.
pub const SCHEMA: u32 = 1;

/// Why nothing could be printed.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the result")]
pub struct OutputError(#[source] io::Error);

impl Explain for OutputError {
    fn code(&self) -> &'static str {
        "OUTPUT"
    }

    fn exit(&self) -> Exit {
        Exit::Other
    }

    fn tries(&self) -> Vec<String> {
        vec!["again, with whatever reads the result running to its end".into()]
    }
}

#[derive(Serialize)]
struct Envelope<'a, T> {
    schema: u32,
    #[serde(flatten)]
    data: &'a T,
}

#[derive(Serialize)]
struct Failure {
    error: Report,
}

/// What is said beside a result, in JSON.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Remark {
    Note(String),
    Warning(String),
}

/// What an interruption should say, set while something is under way that the person must know about; and whether it ends
/// no more than a wait.
#[derive(Debug, Clone, Default)]
pub struct Parting(Arc<Mutex<Plans>>);

#[derive(Debug, Default)]
struct Plans {
    text: Option<String>,
    wait: Wait,
}

/// What is waited for while an interruption does not end the program.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// Nothing: it does.
    #[default]
    None,
    /// Something that can be given up.
    Waiting,
    /// The person has given it up.
    GivenUp,
}

impl Parting {
    fn plans(&self) -> MutexGuard<'_, Plans> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to say if the person interrupts from now on.
    pub fn set(&self, text: Option<String>) {
        self.plans().text = text;
    }

    /// What to say if the person interrupts now.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        self.plans().text.clone()
    }

    /// From now on the first interruption ends a wait, not the program; or no longer.
    pub fn wait(&self, waits: bool) {
        self.plans().wait = if waits { Wait::Waiting } else { Wait::None };
    }

    /// Whether what is waited for was given up.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.plans().wait == Wait::GivenUp
    }

    /// Takes an interruption for the end of a wait, if there is one that was not given up already.
    #[must_use]
    pub fn is_press_taken(&self) -> bool {
        let mut plans = self.plans();
        let is_taken = plans.wait == Wait::Waiting;
        if is_taken {
            plans.wait = Wait::GivenUp;
        }
        is_taken
    }
}

/// Where results and remarks go.
pub struct Output {
    json: bool,
    quiet: bool,
    styled: Styled,
    /// Whether progress may be drawn.
    draws: bool,
    /// Whether results go to this process's stdout.
    is_standard: bool,
    stage: Stage,
    data: Box<dyn Write + Send>,
    remarks: Box<dyn Write + Send>,
    parting: Parting,
}

impl Output {
    /// Prints to this process's stdout and stderr, without styles unless told.
    #[must_use]
    pub fn standard(json: bool) -> Self {
        let draws = style::can_redraw();
        Self { draws, is_standard: true, ..Self::to(json, Box::new(io::stdout()), Box::new(io::stderr())) }
    }

    /// Prints elsewhere.
    #[must_use]
    pub fn to(json: bool, data: Box<dyn Write + Send>, remarks: Box<dyn Write + Send>) -> Self {
        Self {
            json,
            quiet: false,
            styled: Styled::default(),
            draws: false,
            is_standard: false,
            stage: Stage::default(),
            data,
            remarks,
            parting: Parting::default(),
        }
    }

    /// Lets the streams show styles, or not.
    #[must_use]
    pub const fn styled(mut self, styled: Styled) -> Self {
        self.styled = styled;
        self
    }

    /// Leaves out notes.
    #[must_use]
    pub const fn quiet(mut self, quiet: bool) -> Self {
        self.quiet = quiet;
        self
    }

    /// Whether results are JSON.
    #[must_use]
    pub const fn is_json(&self) -> bool {
        self.json
    }

    /// What a QR code among the results is drawn on, as far as anybody can know: dark, if styles do not help.
    #[must_use]
    pub const fn ground(&self) -> qr::Ground {
        if self.styled.data { qr::Ground::Coloured } else { qr::Ground::Dark }
    }

    /// Columns of the terminal that shows results, if one does.
    #[must_use]
    pub fn columns(&self) -> Option<usize> {
        columns(io::stdout()).filter(|_| self.is_standard)
    }

    /// Whether remarks show styles.
    #[must_use]
    pub const fn shows_styles(&self) -> bool {
        self.styled.remarks
    }

    /// What an interruption says; shared with whoever handles it.
    #[must_use]
    pub fn parting(&self) -> Parting {
        self.parting.clone()
    }

    /// Prints a command's result: its text, or its JSON.
    ///
    /// # Errors
    /// [`OutputError`], for example when the reader went away.
    pub fn data<T: Serialize + Display>(&mut self, data: &T) -> Result<(), OutputError> {
        let text = if self.json {
            let text = serde_json::to_string(&Envelope { schema: SCHEMA, data });
            style::fit_json(text.map_err(|error| OutputError(error.into()))?)
        } else {
            style::fit(data.to_string(), self.styled.data)
        };
        let sink = &mut self.data;
        let written = self.stage.cleared(|| match text.as_str() {
            "" => Ok(()),
            text => writeln!(sink, "{}", text.trim_end_matches('\n')),
        });
        written.and_then(|()| self.data.flush()).map_err(OutputError)
    }

    /// Says something to the person, on stderr.
    pub fn note(&mut self, text: impl Display) {
        if !self.quiet {
            self.screen(text);
        }
    }

    /// Says what somebody must see before they answer, however quiet it shall be.
    pub fn screen(&mut self, text: impl Display) {
        if self.json {
            let text = style::fit(text.to_string(), false);
            // Empty lines are for the eye.
            if !text.is_empty() {
                self.line(json(&Remark::Note(text)));
            }
        } else {
            self.line(text);
        }
    }

    /// Says something that the person should not overlook.
    pub fn warn(&mut self, text: impl Display) {
        if self.json {
            self.line(json(&Remark::Warning(style::fit(text.to_string(), false))));
        } else {
            self.line(format_args!("{WARNING}warning:{WARNING:#} {text}"));
        }
    }

    fn line(&mut self, text: impl Display) {
        let text = if self.json { text.to_string() } else { style::fit(text.to_string(), self.styled.remarks) };
        let sink = &mut self.remarks;
        // Nobody is left to tell when stderr fails.
        let _ = self.stage.cleared(|| writeln!(sink, "{text}"));
    }

    /// Asks, leaving the cursor behind the question. No progress is drawn until [`Self::answered`].
    pub fn prompt(&mut self, text: impl Display) {
        self.asking();
        let text = style::fit(text.to_string(), self.styled.remarks);
        let _ = write!(self.remarks, "{text}").and_then(|()| self.remarks.flush());
    }

    /// Somebody is about to ask on the terminal: no progress is drawn until [`Self::answered`].
    pub fn asking(&self) {
        self.stage.hold(true);
    }

    /// The question is over.
    pub fn answered(&self) {
        self.stage.hold(false);
    }

    /// Shows on a terminal that something takes its time, until the result is dropped. What else is printed meanwhile
    /// stands above it.
    #[must_use]
    pub fn progress(&self, what: impl Display) -> Progress {
        if self.draws && !self.json && !self.quiet {
            Progress::begin(self.stage.clone(), what.to_string())
        } else {
            Progress::none()
        }
    }

    /// Prints an error: in words, or as JSON, always on stderr.
    pub fn error(&mut self, error: &Error) {
        self.report(error.report());
    }

    /// Prints a report of an error.
    pub fn report(&mut self, report: Report) {
        if self.json {
            self.line(json(&Failure { error: report }));
        } else {
            self.line(styled_report(&report));
        }
    }

    /// Says goodbye after an interruption, on stderr, from whichever thread handles it.
    pub fn interrupted(json: bool, parting: &Parting) {
        let mut output = Self::standard(json);
        if json {
            let what = "interrupted".to_owned();
            let (code, exit) = ("INTERRUPTED", Exit::Interrupted.code());
            output.report(Report { code, what, why: parting.text(), tries: Vec::new(), exit, transaction_id: None });
        } else {
            output.line("\ninterrupted");
            parting.text().into_iter().for_each(|text| output.line(text));
        }
    }
}

/// A number of things in words.
#[must_use]
pub fn counted(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

fn styled_report(report: &Report) -> String {
    let text = report.to_string();
    let code = format!("error[{}]", report.code);
    let text = text.replacen(&code, &paint(ERROR, &code), 1);
    text.replace("\n  try: ", &format!("\n  {} ", paint(TRY, "try:")))
}

fn json<T: Serialize>(data: &T) -> String {
    style::fit_json(serde_json::to_string(&Envelope { schema: SCHEMA, data }).expect("texts are valid JSON"))
}

#[cfg(test)]
pub(crate) mod testing {
    //! An output that keeps what was printed.

    use super::*;

    /// What was printed so far.
    #[derive(Clone, Default)]
    pub(crate) struct Printed(Arc<Mutex<Vec<u8>>>);

    impl Printed {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Printed {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// An output, what it printed as data, and what it remarked.
    pub(crate) fn output(json: bool) -> (Output, Printed, Printed) {
        let (data, remarks) = (Printed::default(), Printed::default());
        (Output::to(json, Box::new(data.clone()), Box::new(remarks.clone())), data, remarks)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Serialize)]
    struct Weather {
        degrees: String,
    }

    impl Display for Weather {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            writeln!(f, "it is {} degrees", self.degrees)
        }
    }

    #[test]
    fn data_and_remarks_do_not_mix() {
        let (mut output, data, remarks) = testing::output(false);
        output.note("looking out of the window");
        output.data(&Weather { degrees: "12.5".into() }).unwrap();
        assert_eq!(data.text(), "it is 12.5 degrees\n");
        assert_eq!(remarks.text(), "looking out of the window\n");
    }

    #[test]
    fn json_names_its_schema() {
        let (mut output, data, _) = testing::output(true);
        output.data(&Weather { degrees: "12.5".into() }).unwrap();
        assert_eq!(data.text(), "{\"schema\":1,\"degrees\":\"12.5\"}\n");
    }

    #[test]
    fn with_json_every_remark_is_a_line_of_json() {
        let (mut output, _, remarks) = testing::output(true);
        output.note("");
        output.note("two\nlines");
        output.warn(paint(style::AMOUNT, "careful"));
        assert_eq!(remarks.text(), "{\"schema\":1,\"note\":\"two\\nlines\"}\n{\"schema\":1,\"warning\":\"careful\"}\n");
    }

    #[test]
    fn quiet_leaves_out_notes_and_nothing_else() {
        let (output, data, remarks) = testing::output(false);
        let mut output = output.quiet(true);
        output.note("by the way");
        output.warn("careful");
        output.data(&Weather { degrees: "3".into() }).unwrap();
        assert_eq!((remarks.text().as_str(), data.text().as_str()), ("warning: careful\n", "it is 3 degrees\n"));
    }

    #[test]
    fn styles_are_for_streams_that_show_them() {
        let print = |styled| {
            let (output, data, remarks) = testing::output(false);
            let mut output = output.styled(styled);
            output.data(&Weather { degrees: paint(style::AMOUNT, 5) }).unwrap();
            output.error(&OutputError(io::Error::other("full")).into());
            (data.text(), remarks.text().lines().take(2).collect::<Vec<_>>().join("|"))
        };
        let (data, remarks) = print(Styled::default());
        assert_eq!(data, "it is 5 degrees\n");
        assert!(remarks.starts_with("error[OUTPUT]: cannot write the result (full)|  try: again"), "{remarks}");
        let (data, remarks) = print(Styled { data: true, remarks: false });
        assert_eq!(data, "it is \u{1b}[1m5\u{1b}[0m degrees\n");
        assert!(!remarks.contains('\u{1b}'), "{remarks}");
        let (data, remarks) = print(Styled { data: false, remarks: true });
        assert_eq!(data, "it is 5 degrees\n");
        let code = paint(ERROR, "error[OUTPUT]");
        assert!(remarks.starts_with(&format!("{code}: cannot write the result (full)|")), "{remarks:?}");
    }

    #[test]
    fn an_error_is_json_too_but_on_stderr() {
        let (mut output, data, remarks) = testing::output(true);
        output.error(&OutputError(io::Error::other("full")).into());
        let value: serde_json::Value = serde_json::from_str(&remarks.text()).unwrap();
        assert_eq!((&value["schema"], &value["error"]["code"]), (&1.into(), &"OUTPUT".into()));
        assert_eq!(value["error"]["why"], "full");
        assert_eq!(data.text(), "");
    }
}
