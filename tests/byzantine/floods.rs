//! Too much of what is allowed, and more at once than a message may hold.

use farthing::wire::peer::{self as wire, deliver_request::Item};
use prost::bytes::Bytes;
use tonic::Code;

use super::{
    headers::branch,
    hostile::{Hostile, bytes, tip},
};

/// Addresses of one exchange.
fn addresses(round: u32, count: u32) -> Vec<wire::PeerAddress> {
    let address = |at: u32| wire::PeerAddress {
        host: std::net::Ipv4Addr::from(0x0a00_0000 + (round << 12) + at).to_string(),
        // Below the ports that a system gives away, so that nobody listens there: no test dials what it is told.
        port: 1 + at % 1_000,
        last_seen_ms: u64::MAX,
    };
    (0..count).map(address).collect()
}

pub(super) async fn addresses_of_nobody(me: &Hostile) {
    let mut session = me.meet().await;
    for round in 0..100 {
        let (session_id, peers) = (session.session_id.clone(), addresses(round, 100));
        let request = wire::ExchangePeersRequest { session_id, peers };
        if let Err(status) = session.client.exchange_peers(request).await {
            // As many as a session may tell of at once, and not one call more.
            me.expects(
                "it takes addresses, and in the end no more",
                round >= 10 && status.code() == Code::ResourceExhausted,
            );
            break;
        }
        me.expects("it has heard enough at some time", round < 20);
    }
    me.keep(session);
}

pub(super) async fn addresses_that_are_none(me: &Hostile) {
    me.until_banned(async |session| {
        let peers = vec![wire::PeerAddress { host: "127.0.0.1".to_owned(), port: 0, last_seen_ms: 0 }];
        let request = wire::ExchangePeersRequest { session_id: session.session_id.clone(), peers };
        assert!(session.client.exchange_peers(request).await.is_err(), "port 0 is nobody's");
    })
    .await;
}

pub(super) async fn lists_that_are_too_long(me: &Hostile) {
    me.until_banned(async |session| {
        let refused = match me.serial() % 3 {
            0 => session.announce_transactions(vec![Bytes::from_static(&[7; 32]); 1_001]).await,
            1 => {
                let headers = branch(me, *me.chain.view().tip.header(), 17);
                session.tell(Some(tip(&headers, 1)), None).await
            }
            _ => {
                let block_ids = vec![Bytes::from_static(&[7; 32]); 17];
                let blocks = Some(wire::BlockIds { block_ids });
                let request = wire::GetBlocksRequest { session_id: session.session_id.clone(), blocks };
                session.client.get_blocks(request).await.map(drop)
            }
        };
        assert!(refused.is_err(), "more than the message may hold");
    })
    .await;
}

/// Announces several times what a node keeps of one peer's announcements, and owns up when it is asked for any.
pub(super) async fn adverts_without_end(me: &Hostile) {
    let mut session = me.meet().await;
    for round in 0..300_u32 {
        let id = |at: u32| {
            let mut id = [0x77; 32];
            id[..8].copy_from_slice(&u64::from(round * 1_000 + at).to_le_bytes());
            bytes(&id)
        };
        let announced = session.announce_transactions((0..1_000).map(id).collect()).await;
        me.expects("it takes what is within the limits", announced.is_ok());
        if announced.is_err() {
            break;
        }
    }
    for _ in 0..10 {
        session.answer_transactions(&[]).await;
    }
    me.keep(session);
}

pub(super) async fn messages_that_are_too_large(me: &Hostile) {
    let mut session = me.meet().await;
    let large = session.announce_transactions(vec![Bytes::from_static(&[7; 32]); 100_000]).await;
    assert!(large.is_err(), "refused by its length, before it is read");
    let block = Bytes::from(vec![0; 12 << 20]);
    let large = session.deliver(1, Some(Item::Block(block)), true).await;
    assert!(large.is_err(), "larger than any block");
    me.keep(session);
}

pub(super) async fn questions_without_end(me: &Hostile) {
    let session = me.meet().await;
    let genesis = bytes(me.params.genesis_id().as_bytes());
    let tip = bytes(me.chain.view().tip.id().as_bytes());
    let ask = async |at: u32| {
        let (mut client, session_id) = (session.client.clone(), session.session_id.clone());
        // Most are refused, for the calls at a time are limited; it goes on all the same.
        match at % 4 {
            0 => {
                let locator = Some(wire::Locator { block_ids: vec![genesis.clone(); 64] });
                let request = wire::GetHeadersRequest { session_id, locator, max_headers: u32::MAX };
                let _ = client.get_headers(request).await;
            }
            1 => {
                let blocks = Some(wire::BlockIds { block_ids: vec![tip.clone(); 16] });
                if let Ok(answer) = client.get_blocks(wire::GetBlocksRequest { session_id, blocks }).await {
                    let mut blocks = answer.into_inner();
                    while let Ok(Some(_)) = blocks.message().await {}
                }
            }
            2 => {
                let wire_ids = (0..1_000).map(|_| bytes(me.nobody().as_bytes())).collect();
                let transactions = Some(wire::TransactionIds { wire_ids });
                let _ = client.get_transactions(wire::GetTransactionsRequest { session_id, transactions }).await;
            }
            _ => {
                let pool_query = Some(wire::PoolQuery {});
                let request = wire::AnnounceRequest { session_id, pool_query, ..wire::AnnounceRequest::default() };
                let _ = client.announce(request).await;
            }
        }
    };
    futures_util::future::join_all((0..400).map(ask)).await;
    me.keep(session);
}
