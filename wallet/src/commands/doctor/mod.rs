//! `doctor`: looks at everything that a payment needs, and says what to do about what is wrong.

mod here;
mod node;

use std::{fmt, path::PathBuf};

use serde::Serialize;

use crate::{
    cli::Global,
    config::{Places, Settings},
    error::{Error, Exit, Explain, Result},
    output::Output,
    wallet::Wallet,
};

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// As it should be.
    Ok,
    /// Worth a look; nothing is broken.
    Remark,
    /// Something will not work, or money is in danger.
    Bad,
}

/// One line.
#[derive(Debug, Serialize)]
struct Check {
    check: &'static str,
    verdict: Verdict,
    what: String,
    #[serde(rename = "try", skip_serializing_if = "Vec::is_empty")]
    tries: Vec<String>,
}

impl Check {
    fn ok(check: &'static str, what: impl fmt::Display) -> Self {
        Self { check, verdict: Verdict::Ok, what: what.to_string(), tries: Vec::new() }
    }

    fn remark(check: &'static str, what: impl fmt::Display, hint: impl fmt::Display) -> Self {
        Self { check, verdict: Verdict::Remark, what: what.to_string(), tries: vec![hint.to_string()] }
    }

    fn bad(check: &'static str, what: impl fmt::Display, hint: impl fmt::Display) -> Self {
        Self { check, verdict: Verdict::Bad, what: what.to_string(), tries: vec![hint.to_string()] }
    }

    fn failed(check: &'static str, error: impl Into<Error>) -> Self {
        let report = error.into().report();
        let what = report.why.map_or_else(|| report.what.clone(), |why| format!("{} ({why})", report.what));
        Self { check, verdict: Verdict::Bad, what, tries: report.tries }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Remark => "note",
            Verdict::Bad => "BAD",
        };
        write!(f, "{sign:<5} {:<12} {}", self.check, self.what)?;
        if let Some(hint) = self.tries.first() {
            write!(f, "; try: {hint}")?;
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct Findings {
    healthy: bool,
    checks: Vec<Check>,
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.checks.iter().try_for_each(|check| writeln!(f, "{check}"))
    }
}

/// Something is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0} of the checks found something wrong")]
struct Unhealthy(usize);

impl Explain for Unhealthy {
    fn code(&self) -> &'static str {
        "UNHEALTHY"
    }

    fn exit(&self) -> Exit {
        Exit::Other
    }

    fn tries(&self) -> Vec<String> {
        vec!["what stands behind each BAD, then farthing-wallet doctor again".into()]
    }
}

/// Looks at everything; it goes on whatever it finds.
///
/// # Errors
/// [`Unhealthy`] if something is wrong, once all was shown.
pub fn run(output: &mut Output, global: &Global, variable: impl Fn(&str) -> Option<PathBuf>) -> Result<()> {
    let checks = examine(global, &variable);
    let bad = checks.iter().filter(|check| check.verdict == Verdict::Bad).count();
    output.data(&Findings { healthy: bad == 0, checks })?;
    if bad == 0 { Ok(()) } else { Err(Unhealthy(bad).into()) }
}

fn examine(global: &Global, variable: &dyn Fn(&str) -> Option<PathBuf>) -> Vec<Check> {
    let version = concat!("farthing-wallet ", env!("CARGO_PKG_VERSION"));
    let mut checks = vec![Check::ok("version", version)];
    let choices = global.choices();
    let places = match Places::find(choices.wallet_dir.as_deref(), variable) {
        Ok(places) => places,
        Err(error) => {
            checks.push(Check::failed("folder", error));
            return checks;
        }
    };
    checks.extend(here::settings(&places));
    if let Some(file) = global.passphrase_file() {
        checks.push(here::passphrase_file(&file));
    }
    checks.push(here::space(&places.root));
    let settings = match Settings::resolve(&choices, variable) {
        Ok(settings) => settings,
        Err(error) => {
            checks.push(Check::failed("settings", error));
            return checks;
        }
    };
    match Wallet::open(&settings) {
        Ok(wallet) => checks.extend(here::wallet(&settings, &wallet)),
        Err(error) => checks.push(Check::failed("folder", error)),
    }
    for url in settings.nodes() {
        checks.extend(node::examine(url, settings.network()));
    }
    checks
}
