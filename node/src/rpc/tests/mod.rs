//! The API as its clients see it: a real listener, a real client, a chain in memory.

mod blocks;
mod fees;
mod limits;
mod masks;
mod mempool_streams;
mod mining;
mod proofs;
mod queries;
mod races;
mod reasons;
mod replayed;
mod service;
mod simulation;
mod stalls;
mod streams;
mod submission;
mod transfers;
mod waits;
mod watched_accounts;
mod watched_transactions;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use farthing::{
    Address, Block, BlockId, Height, Mites, Output, Params, Sender, SignedTransaction, Transaction, TxId,
    tx::TransactionFields,
    wire::v1::{self, ledger_service_client::LedgerServiceClient},
};
use farthing_consensus::{HeaderContext, check_block};
use tokio::sync::watch;
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};
use tonic_types::{RpcStatusExt as _, StatusExt as _};

use super::{Deps, Listeners, methods, routes};
use crate::{
    chain::{Accepted, ChainView, Origin},
    env::{Env, Net as _, SystemNet},
    mempool::{self, MemoryJournal, Mempool, PoolLimits},
    network_view::{NetworkView, PeerSummary, SyncPhase, SyncProgress},
    server::{MethodTable, ServerSettings, serve},
    testing::{ALICE, BOB, TestChain, dev, mine},
};

/// Longest that a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// A network that a test sets.
#[derive(Debug)]
struct FixedNetwork(watch::Sender<bool>);

impl NetworkView for FixedNetwork {
    fn peers(&self) -> Vec<PeerSummary> {
        vec![PeerSummary {
            address: "127.0.0.1:50061".to_owned(),
            inbound: true,
            height: Height::new(3),
            version: "farthing-node/test".to_owned(),
        }]
    }

    fn syncing(&self) -> watch::Receiver<bool> {
        self.0.subscribe()
    }

    fn sync_progress(&self) -> Option<SyncProgress> {
        let (height, target) = (Height::new(5), Height::new(25));
        self.0.borrow().then_some(SyncProgress {
            phase: SyncPhase::Blocks,
            pieces: None,
            height,
            target,
            blocks_per_second: Some(4.0),
        })
    }

    fn best_header_height(&self) -> Height {
        Height::GENESIS
    }

    fn is_mining(&self) -> bool {
        false
    }
}

/// What the mempool is made of.
struct Pool {
    params: Arc<Params>,
    limits: PoolLimits,
    journal: MemoryJournal,
}

impl Default for Pool {
    fn default() -> Self {
        Self { params: dev(), limits: PoolLimits::default(), journal: MemoryJournal::default() }
    }
}

/// A served API.
struct Api {
    test: TestChain,
    mempool: Mempool,
    network: Arc<FixedNetwork>,
    address: SocketAddr,
    deps: Deps,
}

impl Api {
    async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    async fn start_with(change: impl FnOnce(&mut ServerSettings)) -> Self {
        Self::start_of(Pool::default(), change).await
    }

    async fn start_of(pool: Pool, change: impl FnOnce(&mut ServerSettings)) -> Self {
        Self::start_on(TestChain::start(), pool, change).await
    }

    async fn start_on(test: TestChain, pool: Pool, change: impl FnOnce(&mut ServerSettings)) -> Self {
        let network = Arc::new(FixedNetwork(watch::Sender::new(false)));
        let env = Env::system().unwrap().with_clock(test.clock.clone());
        let changes = test.chain.subscribe();
        let (ledger, journal) = (Arc::new(test.chain.clone()), Arc::new(pool.journal));
        let mempool =
            mempool::start(&test.tasks, env.clone(), pool.params, pool.limits, ledger, journal).await.unwrap();
        let stop = test.tasks.token().clone();
        let following = mempool::follow(mempool.clone(), test.chain.clone(), changes, env.clone(), stop);
        test.tasks.spawn("mempool", following);
        let mut settings = ServerSettings::public(methods(&dev()));
        change(&mut settings);
        let listeners = Listeners { public: settings.clone(), peers: ServerSettings::peers(MethodTable::new()) };
        let deps = Deps {
            chain: test.chain.clone(),
            mempool: mempool.clone(),
            env,
            network: Arc::clone(&network) as Arc<dyn NetworkView>,
            shown_blocks: Arc::default(),
            listeners,
            tasks: test.tasks.clone(),
        };
        let listener = SystemNet.listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = serve(listener, routes(&deps).await.unwrap(), settings, test.tasks.token().clone());
        test.tasks.spawn("rpc", serving);
        Self { test, mempool, network, address, deps }
    }

    #[expect(clippy::disallowed_methods, reason = "a client from outside")]
    async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    /// A connection that has room for so many bytes of each answer.
    #[expect(clippy::disallowed_methods, reason = "a client from outside")]
    async fn narrow_channel(&self, window: u32) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        endpoint.initial_stream_window_size(window).connect().await.unwrap()
    }

    async fn client(&self) -> LedgerServiceClient<Channel> {
        LedgerServiceClient::new(self.channel().await)
    }

    /// Mines a block on a view and takes it.
    async fn mine_on(&self, view: &ChainView, mark: u8) -> BlockId {
        let block = mine(self.test.chain.params(), view, Vec::new(), mark);
        let id = block.id();
        self.test.chain.submit_block(block, Origin::Local).await.unwrap();
        id
    }

    /// Mines so many empty blocks on the tip. Returns their ids.
    async fn grow(&self, blocks: usize, mark: u8) -> Vec<BlockId> {
        let mut ids = Vec::new();
        for _ in 0..blocks {
            ids.push(self.mine_on(&self.test.chain.view(), mark).await);
        }
        ids
    }

    /// Takes the transactions into one block on the tip, and waits until the mempool has followed.
    async fn include(&self, transactions: Vec<SignedTransaction>, mark: u8) -> BlockId {
        let senders: Vec<_> = transactions.iter().map(|signed| signed.transaction().sender_address()).collect();
        let block = mine(self.test.chain.params(), &self.test.chain.view(), transactions, mark);
        let id = block.id();
        let accepted = self.test.chain.submit_block(block, Origin::Local).await.unwrap();
        assert_eq!(accepted, Accepted::Connected);
        let view = self.test.chain.view();
        let behind = |address: &Address| {
            let next = view.account(address).map_or(0, |account| account.next_nonce);
            self.mempool.account_pending(address).next_nonce < next
        };
        let followed = async {
            while senders.iter().any(behind) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, followed).await.expect("the mempool follows");
        id
    }
}

impl Api {
    /// Takes blocks that were made elsewhere.
    async fn take(&self, blocks: impl IntoIterator<Item = Block>) {
        for block in blocks {
            self.test.chain.submit_block(block, Origin::Local).await.unwrap();
        }
    }

    /// Submits transfers, which must be taken.
    async fn pool(&self, transfers: impl IntoIterator<Item = SignedTransaction>) {
        for verdict in self.mempool.submit(transfers.into_iter().collect(), mempool::Source::Rpc).await {
            verdict.unwrap();
        }
    }

    fn id_of(&self, signed: &SignedTransaction) -> TxId {
        signed.transaction().id(self.test.chain.params().genesis_id())
    }

    /// Waits until the mempool knows the chain's tip.
    async fn pool_follows(&self) {
        let tip = self.test.chain.view().tip.id();
        let mut head = self.mempool.head();
        tokio::time::timeout(PATIENCE, head.wait_for(|head| head.tip == tip)).await.expect("it follows").unwrap();
    }
}

/// A transfer of alice's to bob of another kind than [`TestKey::pay`](crate::testing::TestKey::pay) makes.
fn unusual(nonce: u64, fee: u64, valid_until: Option<u64>) -> SignedTransaction {
    let sender = match nonce {
        0 => Sender::Key(ALICE.public.clone()),
        _ => Sender::Address(ALICE.address()),
    };
    let outputs = vec![Output { to: BOB.address(), amount: Mites::new(1) }];
    let (fee, valid_until) = (Mites::new(fee), valid_until.map(Height::new));
    let fields = TransactionFields { sender, nonce, fee, valid_until, outputs, memo: Vec::new() };
    ALICE.sign(Transaction::new(fields).unwrap())
}

/// A transfer that takes the place of another one with this nonce.
fn dearer(nonce: u64) -> SignedTransaction {
    unusual(nonce, 90_000_000, None)
}

/// A transfer that no block above this height may include.
fn valid_until(nonce: u64, height: u64) -> SignedTransaction {
    unusual(nonce, 20_000_000, Some(height))
}

/// The next message of a stream in time; none at an end with OK.
async fn next_frame<F>(frames: &mut tonic::Streaming<F>) -> Result<Option<F>, Status> {
    tokio::time::timeout(PATIENCE, frames.message()).await.expect("a frame in time")
}

/// Empty blocks on a view, which need not be the chain's, the first of them with these transfers; and the last view.
fn branch(view: &ChainView, blocks: usize, transactions: Vec<SignedTransaction>, mark: u8) -> (Vec<Block>, ChainView) {
    let (mut made, mut view, mut transactions) = (Vec::new(), view.clone(), transactions);
    for _ in 0..blocks {
        let (block, next) = next_on(&view, std::mem::take(&mut transactions), mark);
        made.push(block);
        view = next;
    }
    (made, view)
}

/// A block on a view, which need not be the chain's, and the view after it.
fn next_on(view: &ChainView, transactions: Vec<SignedTransaction>, mark: u8) -> (Block, ChainView) {
    let params = dev();
    let block = mine(&params, view, transactions, mark);
    let work = view.tip.total_work().checked_add(block.header.bits.target().unwrap().work().unwrap()).unwrap();
    let context = HeaderContext::from_stored(block.header, view.tip.height().next(), work);
    let applied = view.apply(&params, &check_block(&params, &block).unwrap(), &context).unwrap();
    (block, applied.view)
}

/// The code, reason and metadata of an error. docs/api/errors.md must say the same of it.
fn facts(status: &Status) -> (Code, String, std::collections::HashMap<String, String>) {
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    assert_eq!(info.domain, "farthing");
    super::error::documented::holds(info.reason.as_str(), status.code(), info.metadata.keys());
    (status.code(), info.reason.clone(), info.metadata.clone())
}

fn by_height(height: u64) -> v1::GetBlockRequest {
    v1::GetBlockRequest { block: Some(v1::get_block_request::Block::Height(height)), read_mask: None }
}
