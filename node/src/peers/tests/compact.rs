//! Blocks travel without the transfers that both sides have, whoever dialled, and a liar delays nobody for long.

use farthing::{Block, SignedTransaction, codec::Canonical as _, wire::peer as wire};
use prost::bytes::Bytes;
use tonic::Code;
use wire::{deliver_request::Item, want};

use super::{
    Node, alone, eventually,
    hostile::{Hostile, code, hello, tip},
    line,
};
use crate::{
    chain::{Accepted, Origin},
    peers::{PeersConfig, RelayCounts, compact::CompactBlock, convert::BlockPlaces, handshake::Hello, limits::PUSHES},
    testing::{ALICE, BOB, dev, mine},
};

fn transfers(count: u64) -> Vec<SignedTransaction> {
    (0..count).map(|nonce| ALICE.pay(nonce, BOB.address(), 1)).collect()
}

impl Node {
    async fn mine_with(&self, transactions: Vec<SignedTransaction>) -> Block {
        let block = mine(self.chain.params(), &self.chain.view(), transactions, 1);
        assert_eq!(self.chain.submit_block(block.clone(), Origin::Mined).await.unwrap(), Accepted::Connected);
        block
    }

    fn counts(&self) -> RelayCounts {
        self.network.relay_counts()
    }
}

/// A block with three transfers on genesis, which only the test has.
fn secret_block() -> Block {
    let params = dev();
    mine(&params, &crate::chain::ChainView::genesis(&params), transfers(3), 1)
}

async fn travels_compactly(nodes: [&Node; 3]) {
    let [source, middle, end] = nodes;
    source.submit(transfers(300)).await;
    for node in nodes {
        node.pools(300).await;
    }
    let block = source.mine_with(transfers(300)).await;
    for node in [middle, end] {
        node.reaches(1).await;
        node.agrees_with(source).await;
        let counts = node.counts();
        assert_eq!((counts.compact_received, counts.without_asking), (1, 1), "{counts:?}");
        assert_eq!((counts.fell_back, counts.transactions_asked), (0, 0), "{counts:?}");
    }
    for node in [source, middle] {
        let counts = node.counts();
        assert_eq!((counts.compact_sent, counts.full_sent, counts.block_transactions_sent), (1, 0, 0), "{counts:?}");
        // Six bytes for each, header, salt and coinbase, instead of about 117,000.
        assert!(counts.bytes_sent <= 300 * 6 + 256 && block.size_bytes() > 100_000, "{counts:?}");
    }
    assert_eq!(source.counts().compact_received, 0, "nothing is echoed");
    assert_eq!((end.counts().compact_sent, end.counts().full_sent), (0, 0), "nothing is echoed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_travels_compactly_from_diallers_to_listeners() {
    let nodes = line(3).await;
    travels_compactly([&nodes[0], &nodes[1], &nodes[2]]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_travels_compactly_from_listeners_to_diallers() {
    let nodes = line(3).await;
    travels_compactly([&nodes[2], &nodes[1], &nodes[0]]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_an_empty_pool_one_round_trip_fetches_all_both_ways() {
    let nodes = line(3).await;
    let block = nodes[1].mine_with(transfers(300)).await;
    for node in [&nodes[0], &nodes[2]] {
        node.reaches(1).await;
        node.agrees_with(&nodes[1]).await;
        let counts = node.counts();
        assert_eq!((counts.one_round_trip, counts.transactions_asked, counts.fell_back), (1, 300, 0), "{counts:?}");
    }
    let counts = nodes[1].counts();
    assert_eq!((counts.compact_sent, counts.block_transactions_sent, counts.full_sent), (2, 2, 0), "{counts:?}");
    let most = 2 * (u64::try_from(block.size_bytes()).unwrap() + 300 * 6 + 256);
    assert!(counts.bytes_sent < most, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_partly_filled_pool_only_the_missing_are_fetched_both_ways() {
    let nodes = line(3).await;
    nodes[0].submit(transfers(100)).await;
    for node in &nodes {
        node.pools(100).await;
    }
    nodes[1].mine_with(transfers(300)).await;
    for node in [&nodes[0], &nodes[2]] {
        node.reaches(1).await;
        let counts = node.counts();
        assert_eq!((counts.one_round_trip, counts.transactions_asked, counts.fell_back), (1, 200, 0), "{counts:?}");
    }
    assert_eq!(nodes[1].counts().full_sent, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_beside_the_tip_is_put_together_from_the_tips_transfers() {
    let (node, other) = (Node::start(alone()).await, Node::start(alone()).await);
    node.mine_with(transfers(50)).await;
    let beside = mine(other.chain.params(), &other.chain.view(), transfers(50), 2);
    other.chain.submit_block(beside.clone(), Origin::Mined).await.unwrap();
    other.connect(&node).await;
    eventually("both have put the other's block together", || {
        [&node, &other].iter().all(|node| node.counts().without_asking == 1)
    })
    .await;
    assert_eq!((node.counts().full_sent, other.counts().full_sent), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_who_wants_no_compact_relay_gets_and_gives_whole_blocks() {
    let plain = Node::start(PeersConfig { compact_relay: false, ..alone() }).await;
    let (before, behind) = (Node::start(alone()).await, Node::start(alone()).await);
    before.connect(&plain).await;
    plain.connect(&behind).await;
    before.mine_with(transfers(3)).await;
    behind.reaches(1).await;
    for node in [&before, &plain] {
        assert_eq!((node.counts().full_sent, node.counts().compact_sent), (1, 0));
    }
    assert!([&before, &plain, &behind].iter().all(|node| node.counts().compact_received == 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_far_behind_fetches_whole_blocks() {
    let (node, source) = (Node::start(alone()).await, Node::start(alone()).await);
    source.mine(20, 1).await;
    node.connect(&source).await;
    node.reaches(20).await;
    assert_eq!((source.counts().full_sent, source.counts().compact_sent), (20, 0));
}

impl Hostile {
    /// Meets the node as one that gives compact blocks, announces this one and is asked for it.
    async fn announces(node: &Node, id: u8, block: &Block) -> (Self, wire::Want) {
        let mut hostile = Self::meet(node, Hello { compact_relay: true, ..hello(id) }).await.unwrap();
        hostile.announce(&tip(block.header, 1, 100)).await.unwrap();
        let want = hostile.want().await;
        assert!(matches!(&want.item, Some(want::Item::CompactBlock(id)) if id == block.id().as_bytes().as_slice()));
        (hostile, want)
    }

    async fn delivers(&self, want: &wire::Want, item: Item) {
        self.client.deliver(want.want_id, Some(item), true).await.unwrap();
    }

    async fn is_asked_for_transactions(&mut self) -> (wire::Want, BlockPlaces) {
        let want = self.want().await;
        let Some(want::Item::BlockTransactions(query)) = want.item.clone() else { panic!("{want:?}") };
        (want, BlockPlaces::from_wire(Some(query)).unwrap())
    }

    /// It is asked for the whole block and gives it.
    async fn gives_whole(&mut self, block: &Block) {
        let want = self.want().await;
        assert!(matches!(want.item, Some(want::Item::Blocks(_))), "{want:?}");
        self.delivers(&want, Item::Block(Bytes::from(block.to_canonical()))).await;
    }
}

fn compact(block: &Block) -> wire::CompactBlock {
    CompactBlock::of(block, &**crate::env::Env::system().unwrap().random()).unwrap().to_wire()
}

fn joined(transactions: &[SignedTransaction]) -> Bytes {
    transactions.iter().flat_map(SignedTransaction::to_canonical).collect::<Vec<u8>>().into()
}

/// The node has the block after all, from the honest peer, and blames none but the liar.
async fn arrives_from_an_honest_peer(node: &Node, block: Block) {
    let honest = Node::start(alone()).await;
    honest.chain.submit_block(block, Origin::Mined).await.unwrap();
    honest.connect(node).await;
    node.agrees_with(&honest).await;
    assert_eq!(node.height(), 1);
    assert!(node.network.bans().is_empty(), "one lie is not enough for a ban");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_tells_wrong_short_ids_is_let_go_and_the_block_comes_from_another() {
    let (node, block) = (Node::start(alone()).await, secret_block());
    let (mut hostile, want) = Hostile::announces(&node, 1, &block).await;
    let mut wrong = compact(&block);
    wrong.short_ids = vec![1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0].into();
    hostile.delivers(&want, Item::CompactBlock(wrong)).await;
    let (want, places) = hostile.is_asked_for_transactions().await;
    assert_eq!(places.indexes, [0, 1, 2]);
    hostile.delivers(&want, Item::BlockTransactions(joined(&block.transactions))).await;
    eventually("the session is over", || node.network.peers().is_empty()).await;
    arrives_from_an_honest_peer(&node, block).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_transactions_than_the_headers_lead_to_the_whole_block_and_poison_nothing() {
    let (node, block) = (Node::start(alone()).await, secret_block());
    let (mut hostile, want) = Hostile::announces(&node, 1, &block).await;
    let others: Vec<_> = (0..3).map(|nonce| BOB.pay(nonce, ALICE.address(), 1)).collect();
    let mutated = Block { transactions: others.clone(), ..block.clone() };
    hostile.delivers(&want, Item::CompactBlock(compact(&mutated))).await;
    let (want, _) = hostile.is_asked_for_transactions().await;
    hostile.delivers(&want, Item::BlockTransactions(joined(&others))).await;
    // A collision looks the same from here: nobody is blamed.
    hostile.gives_whole(&block).await;
    node.reaches(1).await;
    assert_eq!(node.chain.view().tip.id(), block.id());
    assert_eq!((node.counts().fell_back, node.network.peers().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mutated_coinbase_leads_to_the_whole_block_and_poisons_nothing() {
    let (node, block) = (Node::start(alone()).await, secret_block());
    node.submit(transfers(3)).await;
    let (mut hostile, want) = Hostile::announces(&node, 1, &block).await;
    let mut mutated = block.clone();
    mutated.coinbase.tag = b"mutated".to_vec();
    hostile.delivers(&want, Item::CompactBlock(compact(&mutated))).await;
    hostile.gives_whole(&block).await;
    node.reaches(1).await;
    assert_eq!(node.counts().fell_back, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_mute_about_the_transactions_delays_but_does_not_stop_the_block() {
    let (node, block) = (Node::start(alone()).await, secret_block());
    let (mut hostile, want) = Hostile::announces(&node, 1, &block).await;
    hostile.delivers(&want, Item::CompactBlock(compact(&block))).await;
    hostile.is_asked_for_transactions().await;
    arrives_from_an_honest_peer(&node, block).await;
    assert_eq!(node.counts().one_round_trip, 1, "compactly from the honest one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lone_peer_that_is_mute_about_the_transactions_is_asked_for_the_whole_block() {
    let (node, block) = (Node::start(alone()).await, secret_block());
    let (mut peer, want) = Hostile::announces(&node, 1, &block).await;
    peer.delivers(&want, Item::CompactBlock(compact(&block))).await;
    peer.is_asked_for_transactions().await;
    peer.gives_whole(&block).await;
    node.reaches(1).await;
    assert_eq!((node.counts().fell_back, node.network.peers().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_no_longer_has_a_block_compactly_is_asked_for_the_whole_one() {
    let (node, block) = (Node::start(alone()).await, secret_block());
    let (mut peer, want) = Hostile::announces(&node, 1, &block).await;
    peer.delivers(&want, Item::CompactBlock(wire::CompactBlock::default())).await;
    peer.gives_whole(&block).await;
    node.reaches(1).await;
    assert_eq!((node.counts().compact_received, node.counts().fell_back), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_and_other_compact_blocks_end_the_session_of_their_sender() {
    let (node, block) = (Node::start(alone()).await, secret_block());
    let mut twice = compact(&block);
    twice.short_ids = vec![7; 12].into();
    let other = mine(&dev(), &node.chain.view(), Vec::new(), 9);
    for (id, lie) in [(1, twice), (2, compact(&other))] {
        let host = Hello { listen_port: Some(id.into()), ..hello(id) };
        let mut hostile = Hostile::meet(&node, Hello { compact_relay: true, ..host }).await.unwrap();
        hostile.announce(&tip(block.header, 1, 100)).await.unwrap();
        let want = hostile.want().await;
        hostile.delivers(&want, Item::CompactBlock(lie)).await;
        eventually("the session is over", || node.network.peers().is_empty()).await;
    }
    arrives_from_an_honest_peer(&node, block).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compact_block_or_transactions_that_nobody_asked_for_are_refused() {
    let (node, block) = (Node::start(alone()).await, secret_block());
    for item in [Item::CompactBlock(compact(&block)), Item::BlockTransactions(joined(&block.transactions))] {
        let hostile = Hostile::meet(&node, hello(1)).await.unwrap();
        // Asked for nothing yet.
        assert_eq!(code(hostile.client.deliver(7, Some(item), true).await), Code::InvalidArgument);
        eventually("the session is over", || node.network.peers().is_empty()).await;
    }
    // Asked for the whole block.
    let mut hostile = Hostile::meet(&node, hello(2)).await.unwrap();
    hostile.announce(&tip(mine(&dev(), &node.chain.view(), Vec::new(), 3).header, 9, 100)).await.unwrap();
    let want = hostile.want().await;
    let answer = hostile.client.deliver(want.want_id, Some(Item::CompactBlock(compact(&block))), true).await;
    assert_eq!(code(answer), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_out_of_range_and_oversized_queries_are_refused() {
    let node = Node::start(alone()).await;
    let block = node.mine_with(transfers(3)).await;
    let places = |indexes: Vec<u32>| BlockPlaces { block: block.id(), indexes }.to_wire();
    let hostile = Hostile::meet(&node, hello(1)).await.unwrap();
    let served = hostile.client.block_transactions(places(vec![0, 2])).await.unwrap();
    assert_eq!(served, joined(&[block.transactions[0].clone(), block.transactions[2].clone()]));
    let unknown = BlockPlaces { block: farthing::BlockId::from_bytes([9; 32]), indexes: vec![0] };
    assert!(hostile.client.block_transactions(unknown.to_wire()).await.unwrap().is_empty());
    let beyond = hostile.client.block_transactions(places(vec![0, 3])).await.map(drop);
    assert_eq!(code(beyond), Code::InvalidArgument);
    eventually("the session is over", || node.network.peers().is_empty()).await;
    let hostile = Hostile::meet(&node, hello(2)).await.unwrap();
    // Larger than the method takes: refused by its length, before it is read.
    let oversized = hostile.client.block_transactions(places((1 << 21..(1 << 21) + 17_000).collect())).await;
    assert!(oversized.is_err());
    assert!(hostile.client.compact_block(vec![7; 2_000].into()).await.is_err());
    assert!(node.network.bans().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asked_for_a_tip_is_pushed_the_next_ones_and_asks_again_now_and_then() {
    let nodes = line(3).await;
    for height in 1..=u64::from(PUSHES) + 3 {
        nodes[1].mine(1, 1).await;
        for node in [&nodes[0], &nodes[2]] {
            node.reaches(height).await;
        }
    }
    // The first one is asked for, then eight are pushed, then one is asked for, and so on; both ways.
    for node in [&nodes[0], &nodes[2]] {
        let counts = node.counts();
        let blocks = u64::from(PUSHES) + 3;
        assert_eq!((counts.compact_received, counts.pushed_received), (blocks, blocks - 2), "{counts:?}");
        assert_eq!((counts.pushed_sent, counts.compact_sent), (0, 0), "nothing is echoed");
    }
    let counts = nodes[1].counts();
    assert_eq!((counts.full_sent, counts.pushed_sent, counts.compact_received), (0, 2 * (u64::from(PUSHES) + 1), 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pushed_block_that_lies_leads_to_the_whole_one_and_another_than_the_tip_ends_the_session() {
    let (node, block) = (Node::start(alone()).await, secret_block());
    let announce = |compact| wire::Tip { compact: Some(compact), ..tip(block.header, 1, 100).to_wire() };
    let other = mine(&dev(), &node.chain.view(), Vec::new(), 9);
    let hostile = Hostile::meet(&node, Hello { compact_relay: true, ..hello(2) }).await.unwrap();
    let announced = hostile.client.announce(Some(announce(compact(&other))), None).await;
    assert_eq!(code(announced), Code::InvalidArgument);
    eventually("the session is over", || node.network.peers().is_empty()).await;
    let mut hostile = Hostile::meet(&node, Hello { compact_relay: true, ..hello(1) }).await.unwrap();
    let others: Vec<_> = (0..3).map(|nonce| BOB.pay(nonce, ALICE.address(), 1)).collect();
    let mutated = Block { transactions: others.clone(), ..block.clone() };
    hostile.client.announce(Some(announce(compact(&mutated))), None).await.unwrap();
    let (want, _) = hostile.is_asked_for_transactions().await;
    hostile.delivers(&want, Item::BlockTransactions(joined(&others))).await;
    hostile.gives_whole(&block).await;
    node.reaches(1).await;
    assert_eq!((node.counts().pushed_received, node.counts().fell_back), (1, 1));
}
