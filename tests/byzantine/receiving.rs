//! What a hostile listener does to a node that dials it.

use std::time::Duration;

use farthing::wire::peer::{self as wire, follow_response::Event};
use prost::bytes::Bytes;
use tokio::time::sleep;
use tonic::Code;

use super::{
    headers::on_the_tip,
    host::Manner,
    hostile::{Hostile, bytes, headers_to_wire, work},
};
use crate::harness::eventually;

/// A listener shows another forgery this often, and after so many comes to see whether it is banned.
const CHANGES_EVERY: Duration = Duration::from_millis(50);
const MANNERS_EACH: u32 = 6;

/// A listener that claims the most work of all.
fn boastful(me: &Hostile) -> wire::Hello {
    wire::Hello { tip_height: 1_000_000, tip_id: bytes(&[0x55; 32]), total_work: work(u128::MAX / 2), ..hello(me) }
}

/// Under another id than the one with which it dials, so that the two sessions do not count as one.
fn hello(me: &Hostile) -> wire::Hello {
    wire::Hello { node_id: me.other_id(), ..me.hello() }
}

fn news(event: Event) -> wire::FollowResponse {
    wire::FollowResponse { event: Some(event) }
}

/// Receives the victim in this manner until it has had enough.
async fn receive_until_banned(me: &Hostile, manner: impl Fn() -> Manner) {
    loop {
        if me.session(me.victim).await.is_err_and(|status| status.code() == Code::PermissionDenied) {
            return;
        }
        // It dials once the session by which it was shown where to is over; unless it still has one.
        for _ in 0..MANNERS_EACH {
            // A new one each time: what was forged stands on the victim's tip, which moves.
            me.host.receive(manner());
            sleep(CHANGES_EVERY).await;
        }
    }
}

/// Receives the victim in this manner once.
async fn receive_once(me: &Hostile, manner: Manner) {
    me.host.receive(manner);
    eventually("the victim dials the node that it was shown", async || match me.host.received() {
        0 => {
            // It is shown where to find this node, by a session at the end of which it may dial.
            let shown = me.session(me.victim).await.map(drop);
            sleep(MANNERS_EACH * CHANGES_EVERY).await;
            Err(format!("it does not; shown: {shown:?}"))
        }
        _ => Ok(()),
    })
    .await;
}

pub(super) async fn headers_without_work(me: &Hostile) {
    receive_until_banned(me, || {
        let mut header = on_the_tip(me);
        while header.has_work() {
            header.nonce += 1;
        }
        Manner { hello: Some(boastful(me)), headers: vec![header], ..Manner::default() }
    })
    .await;
}

pub(super) async fn bodies_that_are_none(me: &Hostile) {
    receive_until_banned(me, || Manner {
        hello: Some(boastful(me)),
        headers: vec![on_the_tip(me)],
        body: Some(Bytes::from_static(&[0xff; 4_096])),
        ..Manner::default()
    })
    .await;
}

pub(super) async fn too_many_addresses(me: &Hostile) {
    let address = wire::PeerAddress { host: "127.0.0.1".to_owned(), port: 1, last_seen_ms: 0 };
    receive_until_banned(me, || Manner {
        hello: Some(hello(me)),
        addresses: vec![address.clone(); 101],
        ..Manner::default()
    })
    .await;
}

pub(super) async fn news_that_cannot_be_read(me: &Hostile) {
    let unlinked = || wire::Tip {
        height: 2,
        total_work: work(2),
        headers: headers_to_wire(&[on_the_tip(me), on_the_tip(me)]).headers,
        ..wire::Tip::default()
    };
    receive_until_banned(me, || Manner {
        hello: Some(hello(me)),
        news: vec![news(Event::Tip(unlinked()))],
        ..Manner::default()
    })
    .await;
}

/// Wants more than may be open at a time, and never takes what it is sent.
pub(super) async fn wants_without_end(me: &Hostile) {
    let want = |want_id| {
        let item = Some(wire::want::Item::HeadersAfter(wire::Locator {
            block_ids: vec![bytes(me.params.genesis_id().as_bytes())],
        }));
        news(Event::Want(wire::Want { want_id, item }))
    };
    receive_once(me, Manner { hello: Some(hello(me)), news: (0..17).map(want).collect(), ..Manner::default() }).await;
}

pub(super) async fn no_answer_to_a_handshake(me: &Hostile) {
    receive_once(me, Manner::default()).await;
}

/// Boasts of a branch, shows its headers, and never sends a body.
pub(super) async fn no_bodies(me: &Hostile) {
    let manner = Manner { hello: Some(boastful(me)), headers: vec![on_the_tip(me)], ..Manner::default() };
    receive_once(me, manner).await;
}

/// Sends more news than anybody could look at.
pub(super) async fn news_without_end(me: &Hostile) {
    let ids = || wire::TransactionIds { wire_ids: (0..1_000).map(|_| bytes(me.nobody().as_bytes())).collect() };
    let mut told = vec![news(Event::PoolQuery(wire::PoolQuery {})); 200];
    told.extend((0..100).map(|_| news(Event::Transactions(ids()))));
    receive_once(me, Manner { hello: Some(hello(me)), news: told, ..Manner::default() }).await;
}
