//! Pushing tips: whoever asked this node for its tip before needs the next one too, and gets it with the announcement.
//! That saves the round trip of asking. Few peers get it, and each must ask again now and then.

use farthing::{BlockId, wire::peer as wire};
use prost::Message as _;

use super::{CompactBlock, Sent, relay::compact_form};
use crate::{
    chain::SessionId,
    peers::{
        convert::{Malformed, Tip},
        limits::{MAX_PUSHED_PEERS, PUSHES},
        network::Inner,
        session::Session,
    },
};

/// The peers that asked last for the tip of the time, and how many more tips are pushed to each.
#[derive(Debug, Default)]
pub(super) struct Askers(Vec<(SessionId, u32)>);

impl Askers {
    /// A peer asked: it takes the place of whoever has not asked for the longest.
    pub(super) fn asked(&mut self, session: SessionId) {
        self.forget(session);
        self.0.insert(0, (session, PUSHES));
        self.0.truncate(MAX_PUSHED_PEERS);
    }

    /// Whether one more tip is pushed to this peer.
    pub(super) fn takes_push(&mut self, session: SessionId) -> bool {
        let Some((_, left)) = self.0.iter_mut().find(|(asker, left)| *asker == session && *left > 0) else {
            return false;
        };
        *left -= 1;
        true
    }

    pub(super) fn forget(&mut self, session: SessionId) {
        self.0.retain(|(asker, _)| *asker != session);
    }
}

/// What is pushed to a peer along with the announcement of a tip; mostly nothing.
pub(in crate::peers) async fn push(inner: &Inner, session: &Session, tip: BlockId) -> Option<wire::CompactBlock> {
    if !session.who.compact_relay || !inner.relay.takes_push(session.id) {
        return None;
    }
    // Without it the tip is announced all the same, and asked for.
    let compact = compact_form(inner, tip).await.ok().flatten()?;
    inner.relay.sent(Sent::Pushed, compact.encoded_len());
    Some(compact)
}

/// A peer announced a tip, and may have pushed it along.
pub(in crate::peers) fn take_announced(inner: &Inner, session: &Session, mut tip: wire::Tip) -> Result<(), Malformed> {
    let pushed = tip.compact.take();
    let tip = Tip::from_wire(tip)?;
    if let Some(pushed) = pushed.filter(|_| inner.relay.is_on()) {
        let pushed = CompactBlock::from_wire(&pushed, inner.max_block_bytes())?;
        if pushed.id() != tip.id {
            return Err(Malformed::NotA { field: "tip.compact", expected: "the announced tip" });
        }
        session.keep_pushed(pushed);
    }
    session.take_tip(tip);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tips_are_pushed_to_few_peers_and_to_each_a_few_times_until_it_asks_again() {
        let mut askers = Askers::default();
        let [a, b, c, d] = [1, 2, 3, 4].map(SessionId::new);
        assert!(!askers.takes_push(a), "it never asked");
        for peer in [a, b, c, a, d] {
            askers.asked(peer);
        }
        assert_eq!(askers.0.len(), MAX_PUSHED_PEERS);
        assert!(!askers.takes_push(b), "it asked before the others");
        for _ in 0..PUSHES {
            assert!(askers.takes_push(a));
        }
        assert!(!askers.takes_push(a));
        askers.asked(a);
        assert!(askers.takes_push(a) && askers.takes_push(c));
        askers.forget(a);
        assert!(!askers.takes_push(a));
    }
}
