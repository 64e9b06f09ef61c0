//! How fast blocks reach very many subscribers.

use std::{net::SocketAddr, time::Instant};

use farthing::wire::v1::{
    SubscribeBlocksRequest, ledger_service_client::LedgerServiceClient, subscribe_blocks_request::Start,
    subscribe_blocks_response::Event,
};
use tokio::task::JoinSet;
use tonic::transport::Endpoint;

use super::{Crowd, grow, start, stop};
use crate::ledger::{fund, payers};

/// Streams of one connection.
const PER_CONNECTION: usize = 50;

/// Blocks without transfers, and of ten, each to all subscribers, as fast as the node takes them.
pub(crate) async fn figures(subscribers: usize, blocks: usize) {
    for transfers in [0, 10] {
        let dir = tempfile::tempdir().unwrap();
        let node = start(dir.path()).await;
        let mut payers = payers();
        fund(&node, &payers).await;
        let last = usize::try_from(node.chain().view().tip.height().get()).unwrap() + blocks;
        let mut crowd = Crowd::start("readers", "0", node.rpc_address(), subscribers, last);
        let begin = Instant::now();
        let mut took = grow(&node, &mut payers, blocks, transfers).await;
        let made = begin.elapsed().as_secs_f64();
        let events: u64 = tokio::task::block_in_place(|| crowd.line()).parse().unwrap();
        let all = begin.elapsed().as_secs_f64();
        assert_eq!(events, (subscribers * blocks) as u64, "every subscriber had every block");
        took.sort();
        println!(
            "{blocks} blocks of {transfers:2} transfers to {subscribers} subscribers: {:.0} events/s; made in {made:.1} s, \
             all had all after {all:.1} s",
            events as f64 / all
        );
        stop(node).await;
    }
}

/// The subscribers: begin at the tip, end with this block, and say how many events came.
pub(crate) async fn read(node: SocketAddr, subscribers: usize, last: usize) {
    let mut readers = JoinSet::new();
    let mut client = None;
    for number in 0..subscribers {
        if number % PER_CONNECTION == 0 {
            let endpoint = Endpoint::from_shared(format!("http://{node}")).unwrap();
            let channel = endpoint.initial_connection_window_size(16 << 20).connect().await.unwrap();
            client = Some(LedgerServiceClient::new(channel));
        }
        let start = Some(Start::FromTip(true));
        let request = SubscribeBlocksRequest {
            start,
            stop_height: Some(last as u64),
            headers_only: false,
            filter: None,
            read_mask: None,
        };
        let mut stream = client.as_mut().unwrap().subscribe_blocks(request).await.unwrap().into_inner();
        readers.spawn(async move {
            let mut events = 0_u64;
            while let Some(frame) = stream.message().await.unwrap() {
                events += u64::from(matches!(frame.event, Some(Event::Apply(_))));
            }
            events
        });
    }
    println!("ready");
    let mut events = 0;
    while let Some(read) = readers.join_next().await {
        events += read.unwrap();
    }
    println!("{events}");
}
