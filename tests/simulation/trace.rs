//! What happened, in order: a running hash to compare two runs by, the lines themselves if wanted, and counts.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    time::Duration,
};

use sha2::{Digest as _, Sha256};

/// The events of one run.
pub(crate) struct Trace {
    hash: Sha256,
    lines: u64,
    /// The last lines, or all of them.
    kept: std::collections::VecDeque<String>,
    keep: usize,
    print: bool,
    counts: BTreeMap<&'static str, u64>,
    most: BTreeMap<&'static str, u64>,
}

impl Trace {
    /// An empty trace that keeps the last `keep` lines, and prints each if asked to.
    pub(crate) fn new(keep: usize, print: bool) -> Self {
        Self {
            hash: Sha256::new(),
            lines: 0,
            kept: std::collections::VecDeque::new(),
            keep,
            print,
            counts: BTreeMap::new(),
            most: BTreeMap::new(),
        }
    }

    /// Notes an event of a node, or of the world.
    pub(crate) fn note(&mut self, at: Duration, who: &str, what: fmt::Arguments<'_>) {
        let mut line = String::new();
        let _ = write!(line, "{:>9.3} {who:<7} {what}", at.as_secs_f64());
        self.hash.update(line.as_bytes());
        self.hash.update(b"\n");
        self.lines += 1;
        if self.print {
            println!("{line}");
        }
        if self.kept.len() == self.keep {
            self.kept.pop_front();
        }
        if self.keep > 0 {
            self.kept.push_back(line);
        }
    }

    /// Counts an event.
    pub(crate) fn count(&mut self, what: &'static str) {
        self.add(what, 1);
    }

    /// Counts several events.
    pub(crate) fn add(&mut self, what: &'static str, number: u64) {
        *self.counts.entry(what).or_default() += number;
    }

    /// Keeps the largest of some values.
    pub(crate) fn most(&mut self, what: &'static str, value: u64) {
        let most = self.most.entry(what).or_default();
        *most = value.max(*most);
    }

    /// The hash of all lines, and how many there are.
    pub(crate) fn digest(&self) -> String {
        format!("{} ({} lines)", hex::encode(&self.hash.clone().finalize()[..16]), self.lines)
    }

    /// The lines that were kept.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.kept.iter().map(String::as_str)
    }

    /// How often each kind of event happened.
    pub(crate) fn counts(&self) -> Counts {
        Counts { sums: self.counts.clone(), most: self.most.clone(), runs: BTreeMap::new() }
    }
}

/// How often each kind of event happened, in one run or in many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    sums: BTreeMap<&'static str, u64>,
    most: BTreeMap<&'static str, u64>,
    /// Of how many.
    runs: BTreeMap<&'static str, u64>,
}

impl Counts {
    /// Adds those of one other run.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (what, number) in &other.sums {
            *self.sums.entry(what).or_default() += number;
        }
        for (what, value) in &other.most {
            let most = self.most.entry(what).or_default();
            *most = (*value).max(*most);
        }
        for (what, _) in other.sums.iter().chain(&other.most).filter(|(_, number)| **number > 0) {
            *self.runs.entry(what).or_default() += 1;
        }
    }

    /// In how many of the runs it happened.
    pub(crate) fn runs_with(&self, what: &str) -> u64 {
        self.runs.get(what).copied().unwrap_or_default()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, number) in &self.sums {
            match self.runs.get(what) {
                Some(runs) => writeln!(f, "{number:>10}  {what} (in {runs} runs)")?,
                None => writeln!(f, "{number:>10}  {what}")?,
            }
        }
        for (what, value) in &self.most {
            writeln!(f, "{value:>10}  {what} (most)")?;
        }
        Ok(())
    }
}
