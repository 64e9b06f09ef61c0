//! How peers stand: points for misdeeds, and bans with a reason and an end.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use farthing::TimeMs;

use super::{
    blame::{BAN_THRESHOLD, BAN_TIME, Misdeed},
    limits::{MAX_BANS, MAX_SCORES},
};

/// Every minute of good conduct takes one point away.
const FORGIVEN_EVERY: Duration = Duration::from_secs(60);

/// Whom a ban names: a host, which with IPv6 is a whole /64, because that is what one host is given and may take every
/// address of; on loopback, where every user of the machine is the same host, the port that a node
/// listens on as well, so that one bad node of a local cluster does not ban the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Culprit {
    host: IpAddr,
    port: u16,
}

impl Culprit {
    /// The node at this host that takes peers on this port; 0 if it takes none.
    pub(super) fn new(host: IpAddr, listen_port: u16) -> Self {
        let host = match host.to_canonical() {
            IpAddr::V6(v6) if !v6.is_loopback() => {
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)))
            }
            host => host,
        };
        Self { host, port: if host.is_loopback() { listen_port } else { 0 } }
    }

    /// The node at this address.
    pub(super) fn at(address: SocketAddr) -> Self {
        Self::new(address.ip(), address.port())
    }
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host {
            host if host.is_loopback() => SocketAddr::new(host, self.port).fmt(f),
            IpAddr::V4(host) => host.fmt(f),
            IpAddr::V6(network) => write!(f, "{network}/64"),
        }
    }
}

impl std::str::FromStr for Culprit {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let host = text.strip_suffix("/64").unwrap_or(text);
        text.parse::<SocketAddr>().map(Self::at).or_else(|_| Ok(Self::new(host.parse()?, 0)))
    }
}

/// A ban.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ban {
    /// When it ends.
    pub(super) until: TimeMs,
    /// The misdeed that was one too many, or the operator's words.
    pub(super) reason: String,
}

/// What a misdeed led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// So many points now.
    Scored(u32),
    /// Banned, and to be disconnected.
    Banned(Ban),
}

/// Points and bans, both bounded.
#[derive(Debug, Default)]
pub(super) struct Standing {
    scores: BTreeMap<Culprit, Score>,
    bans: BTreeMap<Culprit, Ban>,
    changed: bool,
}

#[derive(Debug)]
struct Score {
    points: u32,
    counted_at: Duration,
}

impl Standing {
    /// Takes up bans of an earlier run.
    pub(super) fn restore(&mut self, bans: impl IntoIterator<Item = (Culprit, Ban)>) {
        self.bans.extend(bans.into_iter().take(MAX_BANS));
    }

    /// Drops bans that ended before a time.
    pub(super) fn expire(&mut self, now: TimeMs) {
        let before = self.bans.len();
        self.bans.retain(|_, ban| ban.until > now);
        self.changed |= self.bans.len() != before;
    }

    /// Counts a misdeed. `now` is the wall clock's, `elapsed` the steady clock's time.
    pub(super) fn blame(&mut self, culprit: Culprit, misdeed: &Misdeed, now: TimeMs, elapsed: Duration) -> Verdict {
        let before = self.scores.get(&culprit).map_or(0, |score| score.at(elapsed));
        let points = before.saturating_add(misdeed.penalty());
        if points < BAN_THRESHOLD {
            self.make_room_for_score(elapsed);
            self.scores.insert(culprit, Score { points, counted_at: elapsed });
            return Verdict::Scored(points);
        }
        self.scores.remove(&culprit);
        let length = u64::try_from(BAN_TIME.as_millis()).unwrap_or(u64::MAX);
        let ban = Ban { until: now.saturating_add(length), reason: misdeed.to_string().chars().take(200).collect() };
        // One that lasts longer, such as an operator's, stays with its reason.
        if let Some(longer) = self.ban(&culprit, now).filter(|longer| longer.until > ban.until) {
            return Verdict::Banned(longer.clone());
        }
        self.make_room_for_ban(now);
        self.bans.insert(culprit, ban.clone());
        self.changed = true;
        Verdict::Banned(ban)
    }

    /// Bans until a time, in the place of any ban in force.
    pub(super) fn impose(&mut self, culprit: Culprit, ban: Ban, now: TimeMs) {
        self.scores.remove(&culprit);
        if !self.bans.contains_key(&culprit) {
            self.make_room_for_ban(now);
        }
        self.bans.insert(culprit, ban);
        self.changed = true;
    }

    /// Ends a ban in force; false if there is none.
    pub(super) fn pardon(&mut self, culprit: &Culprit, now: TimeMs) -> bool {
        let was_in_force = self.ban(culprit, now).is_some();
        self.changed |= self.bans.remove(culprit).is_some();
        was_in_force
    }

    /// Points for misdeeds that are not forgiven yet.
    pub(super) fn points(&self, culprit: &Culprit, elapsed: Duration) -> u32 {
        self.scores.get(culprit).map_or(0, |score| score.at(elapsed))
    }

    /// The ban in force against this node.
    pub(super) fn ban(&self, culprit: &Culprit, now: TimeMs) -> Option<&Ban> {
        self.bans.get(culprit).filter(|ban| ban.until > now)
    }

    /// All bans in force.
    pub(super) fn bans(&self, now: TimeMs) -> impl Iterator<Item = (&Culprit, &Ban)> {
        self.bans.iter().filter(move |(_, ban)| ban.until > now)
    }

    /// Points that count now, of nodes that are not banned.
    pub(super) fn scores(&self, elapsed: Duration) -> impl Iterator<Item = (&Culprit, u32)> {
        self.scores.iter().map(move |(culprit, score)| (culprit, score.at(elapsed))).filter(|(_, points)| *points > 0)
    }

    /// All bans, if they changed since this was last asked; those that ended and are not dropped yet are among them.
    pub(super) fn take_changed(&mut self) -> Option<Vec<(Culprit, Ban)>> {
        let all = || self.bans.iter().map(|(culprit, ban)| (*culprit, ban.clone())).collect();
        std::mem::take(&mut self.changed).then(all)
    }

    /// They were not written.
    pub(super) const fn put_back(&mut self) {
        self.changed = true;
    }

    fn make_room_for_score(&mut self, elapsed: Duration) {
        if self.scores.len() >= MAX_SCORES {
            self.scores.retain(|_, score| score.at(elapsed) > 0);
        }
        if self.scores.len() >= MAX_SCORES
            && let Some(least) = self.scores.iter().min_by_key(|(_, score)| score.at(elapsed)).map(|(key, _)| *key)
        {
            self.scores.remove(&least);
        }
    }

    fn make_room_for_ban(&mut self, now: TimeMs) {
        if self.bans.len() >= MAX_BANS {
            self.bans.retain(|_, ban| ban.until > now);
        }
        if self.bans.len() >= MAX_BANS
            && let Some(first) = self.bans.iter().min_by_key(|(_, ban)| ban.until).map(|(key, _)| *key)
        {
            self.bans.remove(&first);
        }
    }
}

impl Score {
    fn at(&self, elapsed: Duration) -> u32 {
        let forgiven = elapsed.saturating_sub(self.counted_at).as_secs() / FORGIVEN_EVERY.as_secs();
        self.points.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: TimeMs = TimeMs::new(1_000_000);

    fn culprit(text: &str) -> Culprit {
        text.parse().unwrap()
    }

    fn small() -> Misdeed {
        Misdeed::InvalidTransaction("bad signature".to_owned())
    }

    #[test]
    fn points_add_up_to_a_ban_with_a_reason_and_an_end() {
        let mut standing = Standing::default();
        let bad = culprit("192.0.2.1");
        for points in [25, 50, 75] {
            assert_eq!(standing.blame(bad, &small(), NOW, Duration::ZERO), Verdict::Scored(points));
            assert!(standing.ban(&bad, NOW).is_none());
        }
        let Verdict::Banned(ban) = standing.blame(bad, &small(), NOW, Duration::ZERO) else { panic!("not banned") };
        assert_eq!(ban.reason, "sent an invalid transaction: bad signature");
        assert_eq!(standing.ban(&bad, NOW), Some(&ban));
        assert_eq!(standing.ban(&bad, ban.until), None);
        let written = standing.take_changed().unwrap();
        assert!(standing.take_changed().is_none());
        standing.put_back();
        assert_eq!(standing.take_changed().as_ref(), Some(&written), "what was not written is written the next time");
        let mut next_run = Standing::default();
        next_run.restore(written);
        assert_eq!(next_run.ban(&bad, NOW), Some(&ban));
    }

    #[test]
    fn a_ban_can_be_imposed_replaced_and_ended_and_each_is_to_be_written() {
        let mut standing = Standing::default();
        let host = culprit("192.0.2.1");
        standing.blame(host, &small(), NOW, Duration::ZERO);
        assert_eq!((standing.points(&host, Duration::ZERO), standing.points(&host, FORGIVEN_EVERY)), (25, 24));
        for (until, reason) in [(NOW.saturating_add(5), "noisy"), (NOW.saturating_add(2), "less so")] {
            let ban = Ban { until, reason: reason.to_owned() };
            standing.impose(host, ban.clone(), NOW);
            assert_eq!(standing.ban(&host, NOW), Some(&ban));
            assert!(standing.take_changed().is_some());
        }
        assert_eq!(standing.points(&host, Duration::ZERO), 0, "paid for by the ban");
        assert!(standing.pardon(&host, NOW) && standing.take_changed().is_some());
        assert!(standing.ban(&host, NOW).is_none());
        assert!(!standing.pardon(&host, NOW) && standing.take_changed().is_none());
    }

    #[test]
    fn a_ban_that_a_wrong_clock_let_lapse_is_in_force_again_when_the_clock_is_right() {
        let mut standing = Standing::default();
        let host = culprit("192.0.2.1");
        standing.impose(host, Ban { until: NOW.saturating_add(10), reason: String::new() }, NOW);
        let ahead = NOW.saturating_add(1_000);
        assert!(standing.ban(&host, ahead).is_none());
        assert_eq!(standing.take_changed().unwrap().len(), 1, "it stays on the disk");
        standing.expire(NOW);
        assert!(standing.ban(&host, NOW).is_some());
        standing.expire(ahead);
        assert!(standing.ban(&host, NOW).is_none());
        assert_eq!(standing.take_changed(), Some(Vec::new()));
    }

    #[test]
    fn a_misdeed_does_not_shorten_a_ban_nor_change_its_reason() {
        let mut standing = Standing::default();
        let host = culprit("192.0.2.1");
        let invalid = Misdeed::InvalidBlock("wrong root".to_owned());
        let year = Ban { until: NOW.saturating_add(31_536_000_000), reason: "the operator's words".to_owned() };
        standing.impose(host, year.clone(), NOW);
        assert_eq!(standing.blame(host, &invalid, NOW, Duration::ZERO), Verdict::Banned(year.clone()));
        assert_eq!(standing.ban(&host, NOW), Some(&year));
        // A shorter one gives way.
        standing.impose(host, Ban { until: NOW.saturating_add(1), ..year }, NOW);
        standing.blame(host, &invalid, NOW, Duration::ZERO);
        assert_eq!(standing.ban(&host, NOW).unwrap().reason, "sent an invalid block: wrong root");
    }

    #[test]
    fn a_flood_of_imposed_bans_is_bounded_and_the_first_to_end_leave() {
        let mut standing = Standing::default();
        for number in 0..u32::try_from(MAX_BANS + 10).unwrap() {
            let host = Culprit::new(IpAddr::from((0x0a00_0000 + number).to_be_bytes()), 0);
            standing.impose(host, Ban { until: NOW.saturating_add(1 + u64::from(number)), reason: String::new() }, NOW);
        }
        assert_eq!(standing.bans.len(), MAX_BANS);
        assert!(
            standing.ban(&culprit("10.0.0.9"), NOW).is_none() && standing.ban(&culprit("10.0.0.10"), NOW).is_some()
        );
    }

    #[test]
    fn good_conduct_takes_points_away() {
        let mut standing = Standing::default();
        let bad = culprit("192.0.2.1");
        standing.blame(bad, &small(), NOW, Duration::ZERO);
        assert_eq!(standing.blame(bad, &small(), NOW, FORGIVEN_EVERY * 10), Verdict::Scored(40));
        let points = |elapsed| standing.scores(elapsed).map(|(_, points)| points).collect::<Vec<_>>();
        assert_eq!(points(FORGIVEN_EVERY * 11), [39]);
        assert!(points(FORGIVEN_EVERY * 50).is_empty());
    }

    #[test]
    fn on_loopback_a_ban_meets_one_node_and_elsewhere_a_host() {
        let invalid = Misdeed::InvalidBlock("wrong root".to_owned());
        let mut standing = Standing::default();
        standing.blame(culprit("127.0.0.1:50061"), &invalid, NOW, Duration::ZERO);
        standing.blame(culprit("192.0.2.1:50061"), &invalid, NOW, Duration::ZERO);
        assert!(standing.ban(&culprit("127.0.0.1:50061"), NOW).is_some());
        assert!(standing.ban(&culprit("127.0.0.1:50062"), NOW).is_none());
        assert!(standing.ban(&culprit("192.0.2.1:7"), NOW).is_some());
        assert!(standing.ban(&culprit("::ffff:192.0.2.1"), NOW).is_some());
        for (culprit, _) in standing.bans(NOW) {
            assert_eq!(culprit.to_string().parse::<Culprit>().unwrap(), *culprit);
        }
    }

    #[test]
    fn an_ipv6_ban_meets_every_address_of_its_network_and_a_flood_of_them_is_one_ban() {
        let invalid = Misdeed::InvalidBlock("wrong root".to_owned());
        let mut standing = Standing::default();
        for text in ["2001:db8:1:2::1", "[2001:db8:1:2:aaaa::7]:50061", "2001:db8:1:2:ffff:ffff:ffff:ffff"] {
            standing.blame(culprit(text), &invalid, NOW, Duration::ZERO);
        }
        assert_eq!(standing.bans.len(), 1);
        assert!(standing.ban(&culprit("2001:db8:1:2:3:4:5:6"), NOW).is_some());
        assert!(standing.ban(&culprit("2001:db8:1:3::1"), NOW).is_none());
        let text = culprit("2001:db8:1:2::1").to_string();
        assert_eq!(text, "2001:db8:1:2::/64");
        assert_eq!(culprit(&text), culprit("2001:db8:1:2::1"));
        assert_eq!(culprit("[::1]:50061").to_string(), "[::1]:50061", "loopback stays what it is");
    }

    #[test]
    fn a_flood_of_culprits_fills_neither_points_nor_bans() {
        let mut standing = Standing::default();
        let invalid = Misdeed::InvalidBlock("wrong root".to_owned());
        for number in 0..u32::try_from(MAX_BANS + 10).unwrap() {
            let host = Culprit::new(IpAddr::from((0x0a00_0000 + number).to_be_bytes()), 0);
            standing.blame(host, &small(), NOW, Duration::ZERO);
            standing.blame(host, &invalid, NOW, Duration::ZERO);
            standing.blame(host, &small(), NOW, Duration::ZERO);
        }
        assert_eq!(standing.bans.len(), MAX_BANS);
        assert!(standing.scores.len() <= MAX_SCORES);
    }
}
