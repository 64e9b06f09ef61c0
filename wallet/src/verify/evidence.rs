//! What was checked and what not, as results say it.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use farthing::Height;
use serde::Serialize;

use super::{Agreement, VerifiedAccount};
use crate::{depth::Depth, light::Standing};

/// From this age on a header is worth a remark.
const OLD: Duration = Duration::from_secs(600);
/// A header so far ahead of this machine's clock is worth one too.
const AHEAD: Duration = Duration::from_secs(120);

/// What was checked and what was not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// Checked here.
    pub verified: Vec<&'static str>,
    /// Taken on the node's word.
    pub not_verified: Vec<&'static str>,
    /// The header that everything was checked against.
    pub header_id: String,
    /// Its height.
    pub header_height: u64,
    /// Its time.
    pub header_time_ms: u64,
    /// Expected number of attempts that it took.
    pub header_work: String,
    /// Expected number of attempts that the whole chain up to it took.
    pub chain_work: String,
    /// Height of a chain with more work that this wallet was shown before, if the header is not its tip: what changed up to
    /// there is not in the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newer_height: Option<u64>,
    /// What several nodes said, if several were to agree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<Agreement>,
}

impl Evidence {
    pub(super) fn of(account: &VerifiedAccount, standing: &Standing, agreement: Option<&Agreement>) -> Self {
        // Only the network's own first block passes at that height, and it is exempt from work.
        let is_first = account.height == Height::GENESIS;
        let work = account.header.bits.target().ok().and_then(|target| target.work()).filter(|_| !is_first);
        let (verified, not_verified) = if is_first {
            let verified = vec!["account proof", "that it is the network's first block, which has no work"];
            (verified, vec!["that no later block exists"])
        } else {
            let verified = vec!["account proof", "the work of its whole chain", "its height"];
            (verified, vec!["that no other chain has more work", "that its miners kept the rules"])
        };
        Self {
            verified,
            not_verified,
            agreement: agreement.cloned(),
            newer_height: standing.newer.map(Height::get),
            header_id: account.header.id().to_string(),
            header_height: account.height.get(),
            header_time_ms: account.header.time.get(),
            header_work: work.map_or_else(|| "0".to_owned(), |work| work.get().to_string()),
            chain_work: if is_first { "0".to_owned() } else { standing.work.get().to_string() },
        }
    }

    /// The same for a transfer that was found in the history of the account, this deep.
    #[must_use]
    pub fn of_a_mined_transfer(mut self, depth: Depth) -> Self {
        self.verified.push("that the sender's history contains the transfer");
        let above = "how many blocks stand above the transfer's";
        if depth.is_counted() {
            self.verified.push(above);
        } else {
            self.not_verified.push(above);
        }
        self
    }

    /// What to say about the header's age, when a live network should have newer ones, or when this machine's clock says that
    /// it cannot exist yet.
    #[must_use]
    pub fn age_note(&self, now: SystemTime) -> Option<String> {
        // The first block is as old as the network, and what that leaves open is said anyway.
        if self.header_height == 0 {
            return None;
        }
        let height = self.header_height;
        let made = UNIX_EPOCH + Duration::from_millis(self.header_time_ms);
        match now.duration_since(made) {
            Ok(age) if age >= OLD => Some(format!(
                "block {height} is {} old: if the network made newer ones, this node lags behind or hides them",
                in_words(age)
            )),
            Err(ahead) if ahead.duration() >= AHEAD => Some(format!(
                "block {height} is dated {} ahead of this machine's clock: one of the two is wrong",
                in_words(ahead.duration())
            )),
            _ => None,
        }
    }
}

/// A length of time as people say it.
#[must_use]
pub fn in_words(time: Duration) -> String {
    let (number, unit) = match time.as_secs() / 60 {
        minutes @ 0..120 => (minutes, "minutes"),
        minutes @ 120..2880 => (minutes / 60, "hours"),
        minutes => (minutes / 1440, "days"),
    };
    format!("{number} {unit}")
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.header_id.get(..16).unwrap_or(&self.header_id);
        write!(
            f,
            "verified against block {} ({id}..., work {}, its chain {}): {}\nnot verified: {}",
            self.header_height,
            self.header_work,
            self.chain_work,
            self.verified.join(", "),
            self.not_verified.join(", ")
        )?;
        if let Some(newer) = self.newer_height {
            write!(f, ", what changed up to block {newer}, which this wallet has seen elsewhere")?;
        }
        match &self.agreement {
            Some(agreement) => write!(f, "\n{agreement}"),
            None => Ok(()),
        }
    }
}
