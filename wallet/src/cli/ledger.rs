//! What accounts hold, and what they did.

use std::{str::FromStr, time::SystemTime};

use clap::Args;
use farthing::Height;

/// Flags of `balance`.
#[derive(Debug, Default, Args)]
pub struct Balance {
    /// A key, a contact or an address; all keys if left out.
    #[arg(value_name = "ACCOUNT")]
    pub who: Option<String>,
    /// Every key, whatever account is chosen, and what they hold together.
    #[arg(long, conflicts_with = "who")]
    pub all: bool,
}

/// Flags of `history`.
#[derive(Debug, Default, Args)]
pub struct History {
    /// A key, a contact or an address; not needed if there is only one key.
    #[arg(value_name = "ACCOUNT")]
    pub who: Option<String>,
    /// Nothing older: a block's height, or a date such as 2026-11-30 or 2026-11-30T12:00:00Z.
    #[arg(long, value_name = "WHEN")]
    pub since: Option<When>,
    /// Nothing newer: a block's height, or a date; a date without a time is all of that day, in UTC.
    #[arg(long, value_name = "WHEN")]
    pub until: Option<When>,
    /// Show first what waits in the node's mempool.
    #[arg(long)]
    pub pending: bool,
    /// Print a table with commas, for spreadsheets.
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// At most so many entries, the newest first; 20, or 100,000 with --since or --csv, if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: Option<u32>,
}

impl History {
    /// At most so many entries.
    #[must_use]
    pub fn limit(&self) -> u64 {
        let default = if self.csv || self.since.is_some() { 100_000 } else { 20 };
        self.limit.unwrap_or(default).into()
    }
}

/// A moment on the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// A block.
    Height(Height),
    /// A time, which blocks state.
    Time(SystemTime),
    /// The day that begins then.
    Day(SystemTime),
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(height) = text.parse() {
            return Ok(Self::Height(Height::new(height)));
        }
        let read = if text.len() == 10 {
            humantime::parse_rfc3339(&format!("{text}T00:00:00Z")).map(Self::Day)
        } else {
            humantime::parse_rfc3339_weak(text).map(Self::Time)
        };
        read.map_err(|_| "neither a block's height nor a date such as 2026-11-30 or 2026-11-30T12:00:00Z".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_moment_is_a_height_a_date_or_a_date_with_a_time() {
        let time = |seconds| Ok(When::Time(UNIX_EPOCH + Duration::from_secs(seconds)));
        assert_eq!("120".parse::<When>(), Ok(When::Height(Height::new(120))));
        assert_eq!("1970-01-02".parse::<When>(), Ok(When::Day(UNIX_EPOCH + Duration::from_secs(86_400))));
        assert_eq!("1970-01-02T01:00:00Z".parse::<When>(), time(90_000));
        assert_eq!("1970-01-02 01:00:00".parse::<When>(), time(90_000));
        for bad in ["", "yesterday", "-1", "1970-13-01", "1970-1-1", "12.5"] {
            assert!(bad.parse::<When>().is_err(), "{bad}");
        }
    }
}
