//! Lies about who it is: another chain, another protocol, the victim itself, another node, somebody who was here before.

use farthing::{Network, wire::peer as wire};
use prost::bytes::Bytes;
use tonic::{Code, Status};

use super::hostile::{Hostile, bytes};

/// Introduces itself and is refused.
async fn refused(me: &Hostile, hello: wire::Hello) -> Status {
    match me.introduce(me.victim, hello).await {
        Ok(_) => panic!("{} was let in", me.culprit()),
        Err(status) => status,
    }
}

pub(super) async fn another_genesis(me: &Hostile) {
    let genesis_id = bytes(Network::Dev.params().genesis_id().as_bytes());
    let status = refused(me, wire::Hello { genesis_id, ..me.hello() }).await;
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    assert!(status.message().contains("network"), "{status:?}");
}

pub(super) async fn another_protocol(me: &Hostile) {
    let status = refused(me, wire::Hello { protocol_version: 2, ..me.hello() }).await;
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
}

pub(super) async fn hellos_that_cannot_be_read(me: &Hostile) {
    let hellos = [
        wire::Hello { node_id: Bytes::new(), ..me.hello() },
        wire::Hello { listen_port: 70_000, ..me.hello() },
        wire::Hello { listen_host: "node.example".to_owned(), ..me.hello() },
        wire::Hello { version: "\u{1b}[2J".to_owned(), ..me.hello() },
        wire::Hello { total_work: Bytes::from_static(&[1; 17]), ..me.hello() },
        wire::Hello { network: "n".repeat(1_000), ..me.hello() },
    ];
    for hello in hellos {
        let status = refused(me, hello).await;
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    }
}

pub(super) async fn the_victims_own_id(me: &Hostile) {
    let (_, answer) = me.introduce(me.victim, me.hello()).await.expect("a new node is welcome");
    let node_id = answer.hello.expect("the listener introduces itself").node_id;
    let status = refused(me, wire::Hello { node_id, ..me.hello() }).await;
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
}

/// Names the honest node's id, from the same host, where it listens on another port.
pub(super) async fn the_id_of_another_node(me: &Hostile) {
    let (_, answer) = me.introduce(me.honest, me.hello()).await.expect("a new node is welcome");
    let node_id = answer.hello.expect("the listener introduces itself").node_id;
    for _ in 0..5 {
        // Whether it is refused or takes the place of a session that was silent for long: the honest node comes back.
        if let Ok((mut client, answer)) =
            me.introduce(me.victim, wire::Hello { node_id: node_id.clone(), ..me.hello() }).await
        {
            let follow = wire::FollowRequest { session_id: answer.session_id };
            drop(client.follow(follow).await);
        }
    }
}

pub(super) async fn tokens_of_yesterday(me: &Hostile) {
    let session = me.meet().await;
    let (mut client, session_id) = (session.client.clone(), session.session_id.clone());
    // Followed once already.
    let twice = client.follow(wire::FollowRequest { session_id: session_id.clone() }).await;
    assert_eq!(twice.err().map(|status| status.code()), Some(Code::ResourceExhausted), "one connection, one session");
    drop(session);
    drop(client);
    // Its session is over, or about to be: the token opens nothing.
    let mut client = me.dial(me.victim).await.expect("the victim listens");
    let again = client.follow(wire::FollowRequest { session_id }).await;
    assert_eq!(again.err().map(|status| status.code()), Some(Code::Unauthenticated));
    for invented in [Bytes::new(), Bytes::from_static(&[0; 16]), Bytes::from_static(&[0; 1_000])] {
        let request = wire::AnnounceRequest { session_id: invented, ..wire::AnnounceRequest::default() };
        let refused = client.announce(request).await;
        assert_eq!(refused.err().map(|status| status.code()), Some(Code::Unauthenticated));
    }
}

pub(super) async fn handshakes_that_nobody_follows(me: &Hostile) {
    for _ in 0..20 {
        let node_id = bytes(me.nobody().as_bytes()).slice(..16);
        if let Ok(granted) = me.introduce(me.victim, wire::Hello { node_id, ..me.hello() }).await {
            me.keep(granted);
        }
    }
}
