//! What one node shows: that it is there, of this network, up to date, and of a clock that agrees with this machine's.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use farthing::{Params, limits::MAX_FUTURE_MS};
use farthing_client::NodeInfo;

use super::Check;
use crate::{
    commands::status,
    config::NodeUrl,
    transfer::{NOBODY_MINES, is_without_miners},
    verify::in_words,
};

/// A tip that is older says that the node may be cut off; development networks mine when they like.
const OLD_TIP_MS: u64 = 60 * 60 * 1000;

pub(super) fn examine(url: &NodeUrl, network: &Arc<Params>) -> Vec<Check> {
    let info = match status::ask(url, network) {
        Ok(info) => info,
        Err(error) => return vec![Check::failed("node", error)],
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis());
    let now = u64::try_from(now).unwrap_or(u64::MAX);
    let version = &info.version;
    let mut checks = vec![Check::ok("node", format_args!("{url} answers, network {} ({version})", network.name))];
    if !url.is_local() {
        let what =
            format!("the connection to {url} is not encrypted: others on the way see which accounts you ask about");
        checks.push(Check::remark("node", what, "a node of your own on this machine"));
    }
    checks.push(synced(&info));
    checks.push(clock(&info, now));
    checks.extend(age(&info, network, now));
    checks.extend(miners(&info));
    checks.extend(other_version(version));
    checks
}

fn synced(info: &NodeInfo) -> Check {
    let height = info.tip.height;
    match info.is_synced {
        Some(true) => Check::ok("sync", format_args!("the node has all blocks that it knows of, up to block {height}")),
        Some(false) => {
            let of = info.best_header_height.max(height);
            let what = format!("the node is still fetching blocks: {height} of {of} or more");
            Check::bad("sync", what, "again in a while: farthing-wallet status shows how far it is")
        }
        None => Check::remark("sync", "the node does not say whether it has all blocks", "another --node"),
    }
}

/// This machine's clock against the node's, or against its tip if it does not tell its clock.
fn clock(info: &NodeInfo, now: u64) -> Check {
    let theirs = if info.time.get() == 0 { info.tip.time.get().min(now) } else { info.time.get() };
    let seconds = now.abs_diff(theirs) / 1000;
    if now.abs_diff(theirs) <= MAX_FUTURE_MS {
        return Check::ok("clock", format_args!("{seconds} s away from the node's"));
    }
    let way = if now < theirs { "behind" } else { "ahead of" };
    let what = format!("this machine's clock is {seconds} s {way} the node's");
    Check::bad("clock", what, "timedatectl, here and there; whoever is wrong should set the clock")
}

fn age(info: &NodeInfo, network: &Params, now: u64) -> Option<Check> {
    let age = now.saturating_sub(info.tip.time.get());
    if age <= OLD_TIP_MS {
        return None;
    }
    let what = format!("the newest block is {} old", in_words(Duration::from_millis(age)));
    Some(if network.is_dev() {
        Check::ok("tip", format_args!("{what} (a development network mines when it likes)"))
    } else {
        Check::remark("tip", what, "farthing-wallet status: has the node peers?")
    })
}

/// A payment waits for a block, and with nobody who mines none comes.
fn miners(info: &NodeInfo) -> Option<Check> {
    let hint = "a node with --mine ADDRESS --mine-when 1, or --connect HOST:PORT to one that mines";
    is_without_miners(info).then(|| Check::remark("mining", NOBODY_MINES, hint))
}

/// Programs of other versions may mean the same words otherwise.
fn other_version(version: &str) -> Option<Check> {
    let theirs = version.rsplit(['/', ' ']).next().unwrap_or_default();
    let numbers: Vec<&str> = theirs.split('.').collect();
    let ours: Vec<&str> = env!("CARGO_PKG_VERSION").split('.').collect();
    let is_other = numbers.len() >= 2 && numbers.get(..2) != ours.get(..2);
    let what = || format!("the node is {version}, this wallet {}", env!("CARGO_PKG_VERSION"));
    is_other.then(|| Check::remark("version", what(), "both of the same version"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_version_that_differs_in_more_than_a_patch_is_remarked_on() {
        let mine = env!("CARGO_PKG_VERSION");
        assert!(other_version(&format!("farthing-node/{mine}")).is_none());
        assert!(other_version("fake-node/1").is_none());
        assert!(other_version("farthing-node/97.1.0").is_some());
    }
}
