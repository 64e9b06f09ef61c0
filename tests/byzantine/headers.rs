//! Lies in headers: work, bits, time, links; branches without an end, in a circle, from nowhere, from yesterday.

use farthing::{BlockId, Header, Height, TimeMs};
use farthing_consensus::required_bits;

use super::hostile::{Hostile, Session, body, tip};
use crate::harness::ledger::{next_block, now, solve};

/// A good header on the victim's tip; each call makes another one.
pub(super) fn on_the_tip(me: &Hostile) -> Header {
    next_block(&me.chain, Vec::new(), me.nobody()).header
}

/// Announces a header, and lets the victim find out.
async fn announce_until_banned(me: &Hostile, forge: impl Fn(Header) -> Header) {
    me.until_banned(async |session| {
        let _ = session.announce(&[forge(on_the_tip(me))]).await;
        wait_for_the_end(session).await;
    })
    .await;
}

/// Waits until the victim ends the session, which it may not do: the chain may have moved on under the lie.
pub(super) async fn wait_for_the_end(session: &mut Session) {
    while session.want().await.is_some() {}
}

pub(super) async fn without_work(me: &Hostile) {
    announce_until_banned(me, |mut header| {
        while header.has_work() {
            header.nonce += 1;
        }
        header
    })
    .await;
}

pub(super) async fn wrong_bits(me: &Hostile) {
    let tip = me.chain.view().tip;
    // Half the target that is asked for: more work than need be, and still not what the schedule says.
    let wrong = farthing::Bits::from_compact(required_bits(&me.params, &tip).to_compact() & 0xff3f_ffff);
    assert_ne!(wrong, required_bits(&me.params, &tip));
    announce_until_banned(me, |mut header| {
        header.bits = wrong;
        solve(&mut header);
        header
    })
    .await;
}

pub(super) async fn a_time_not_after_the_parents(me: &Hostile) {
    announce_until_banned(me, |mut header| {
        let parent = me.chain.view().tip;
        (header.previous, header.time) = (parent.id(), parent.time());
        solve(&mut header);
        header
    })
    .await;
}

pub(super) async fn a_time_far_ahead(me: &Hostile) {
    let mut session = me.meet().await;
    let mut header = on_the_tip(me);
    header.time = TimeMs::new(now().get() + 600_000);
    solve(&mut header);
    session.announce(&[header]).await.expect("nobody's fault: this node's clock may be the one that is wrong");
    me.keep(session);
}

pub(super) async fn headers_that_do_not_stand_on_one_another(me: &Hostile) {
    me.until_banned(async |session| {
        let _ = session.announce(&[on_the_tip(me), on_the_tip(me)]).await;
    })
    .await;
}

/// A branch of headers alone; nobody can ever show its bodies.
pub(super) fn branch(me: &Hostile, mut parent: Header, count: usize) -> Vec<Header> {
    let template = on_the_tip(me);
    let mut next = || {
        let time = TimeMs::new(parent.time.get() + 1);
        let mut header = Header { previous: parent.id(), time, nonce: me.serial(), ..template };
        solve(&mut header);
        parent = header;
        header
    };
    std::iter::repeat_with(&mut next).take(count).collect()
}

/// Headers of one answer.
const ANSWER: usize = 2_000;

pub(super) async fn headers_without_end(me: &Hostile) {
    let mut session = me.meet().await;
    let mut part = branch(me, *me.chain.view().tip.header(), ANSWER);
    // The claimed tip is a header that stands on nothing, so the victim asks for what is between.
    let end = Header { previous: BlockId::from_bytes([0x77; 32]), ..part[0] };
    session.announce(&[solved(end)]).await.expect("a tip may be far ahead");
    // More than the 100,000 headers that a node keeps without their bodies.
    for round in 0..60 {
        let asked = session.answer_headers(&part).await;
        me.expects("it asks for headers until it keeps as many as it can", asked || round >= 49);
        if !asked {
            break;
        }
        part = branch(me, part[ANSWER - 1], ANSWER);
    }
    me.keep(session);
}

pub(super) async fn headers_in_a_circle(me: &Hostile) {
    let mut session = me.meet().await;
    let part = branch(me, *me.chain.view().tip.header(), ANSWER);
    let end = Header { previous: BlockId::from_bytes([0x78; 32]), ..part[0] };
    session.announce(&[solved(end)]).await.expect("a tip may be far ahead");
    for round in 0..4 {
        let asked = session.answer_headers(&part).await;
        me.expects("it asks for more until it sees that they are the same", asked || round >= 2);
        if !asked {
            break;
        }
    }
    me.keep(session);
}

fn solved(mut header: Header) -> Header {
    solve(&mut header);
    header
}

pub(super) async fn orphans(me: &Hostile) {
    let mut session = me.meet().await;
    for round in 0..50_u8 {
        let orphan = Header { previous: BlockId::from_bytes([round; 32]), ..on_the_tip(me) };
        session.announce(&[solved(orphan)]).await.expect("its parent may be on its way");
    }
    // Asked for what is before them, it has more of the same.
    for round in 0..3_u8 {
        let orphan = Header { previous: BlockId::from_bytes([0x80 + round; 32]), ..on_the_tip(me) };
        let asked = session.answer_headers(&[solved(orphan)]).await;
        me.expects("it asks for what is before an orphan", asked);
        if !asked {
            break;
        }
    }
    me.keep(session);
}

pub(super) async fn stale_tips(me: &Hostile) {
    let first = me.chain.best_at(Height::new(1)).await.expect("the store reads").expect("a block was mined");
    let first = me.chain.block(first).await.expect("the store reads").expect("it is on the best chain").header;
    let mut session = me.meet().await;
    for claimed in [1, 2, u128::MAX] {
        session.tell(Some(tip(&[first], claimed)), None).await.expect("an old tip harms nobody");
    }
    me.keep(session);
}

pub(super) async fn two_blocks_of_one_height(me: &Hostile) {
    let (one, other) = (next_block(&me.chain, Vec::new(), me.nobody()), next_block(&me.chain, Vec::new(), me.nobody()));
    for (node, block) in [(me.victim, one), (me.honest, other)] {
        let mut session = me.meet_at(node).await;
        session.announce(&[block.header]).await.expect("both are good");
        me.expects("it wants both", session.answer_blocks(body(&block)).await);
        me.keep(session);
    }
}
