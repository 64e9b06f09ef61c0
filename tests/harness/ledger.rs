//! Blocks made by hand on a node's chain, and its ledger computed anew from its blocks.

use std::time::{SystemTime, UNIX_EPOCH};

use farthing::{Address, Block, Coinbase, Hash, Header, Height, Params, SignedTransaction, TimeMs, header::commitment};
use farthing_consensus::{Entry, Executor, HeaderContext, check_block, check_header, check_signature, required_bits};
use farthing_node::{
    chain::{Accepted, Chain, ChainView, Origin},
    mempool::{Mempool, TemplateLimits},
};

/// The time of this machine.
pub(crate) fn now() -> TimeMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock stands behind 1970");
    TimeMs::new(u64::try_from(since.as_millis()).expect("the clock stands before the year 584 million"))
}

/// Makes the next block of a chain without reward delay, submits it, and gives its place. Transactions that cannot be
/// executed (any more) are left out, as a miner does it.
pub(crate) async fn mine(chain: &Chain, transactions: Vec<SignedTransaction>, to: Address) -> HeaderContext {
    try_mine(chain, transactions, to).await.expect("nobody else mines meanwhile")
}

/// The same where others mine too; none if one of them was faster.
pub(crate) async fn try_mine(
    chain: &Chain,
    transactions: Vec<SignedTransaction>,
    to: Address,
) -> Option<HeaderContext> {
    submit(chain, next_block(chain, transactions, to)).await
}

async fn submit(chain: &Chain, block: Block) -> Option<HeaderContext> {
    let id = block.id();
    match chain.submit_block(block, Origin::Mined).await.expect("a valid block") {
        Accepted::Connected => Some(chain.header(id).await.expect("the store reads").expect("it was just taken")),
        Accepted::SideBranch => None,
        other => panic!("{other:?}"),
    }
}

/// Mines what the mempool offers, by this clock.
pub(crate) async fn mine_waiting(chain: &Chain, mempool: &Mempool, to: Address, now: TimeMs) -> HeaderContext {
    let height = chain.view().tip.height().next();
    let limits = TemplateLimits { height, bytes: 1 << 20, signature_units: 1_000, openings: 1_000, count: 1_000 };
    let waiting = mempool.select(&limits);
    let transactions = waiting.iter().map(|pooled| pooled.transaction().clone()).collect();
    submit(chain, next_block_at(chain, transactions, to, now)).await.expect("nobody else mines meanwhile")
}

/// The next block of a chain without reward delay, with its work done.
pub(crate) fn next_block(chain: &Chain, transactions: Vec<SignedTransaction>, to: Address) -> Block {
    next_block_at(chain, transactions, to, now())
}

/// The same by another clock than the machine's.
fn next_block_at(chain: &Chain, transactions: Vec<SignedTransaction>, to: Address, now: TimeMs) -> Block {
    let view = chain.view();
    let time = now.max(view.tip.time().saturating_add(1));
    let mut block = draft(chain.params(), &view, transactions, to, time);
    solve(&mut block.header);
    block
}

/// A block on any view of a network without reward delay, all but its work. Transactions that cannot be executed on it
/// are left out.
pub(crate) fn draft(
    params: &Params,
    view: &ChainView,
    mut transactions: Vec<SignedTransaction>,
    to: Address,
    time: TimeMs,
) -> Block {
    let height = view.tip.height().next();
    let mut executor = Executor::new(params, &view.accounts, height);
    transactions.retain(|transaction| executor.apply(transaction).is_ok());
    let coinbase = Coinbase { height, to, amount: executor.coinbase_amount(), tag: Vec::new() };
    let execution = executor.finish(&coinbase, None).expect("the coinbase is made for it");
    let mut accounts = view.accounts.clone();
    for touch in execution.touched {
        let meta = accounts.get(&touch.address).map(|entry| entry.meta).unwrap_or_default();
        accounts.insert(touch.address, Entry { account: touch.after, meta });
    }
    let header = Header {
        previous: view.tip.id(),
        commitment: commitment(&accounts.root(), &view.range.chain_root().expect("a short chain")),
        tx_root: Hash::ZERO,
        time,
        bits: required_bits(params, &view.tip),
        nonce: 0,
    };
    let mut block = Block { header, coinbase, transactions };
    block.header.tx_root = block.tx_root();
    block
}

/// Does a header's work; on the networks of the tests two attempts are expected.
pub(crate) fn solve(header: &mut Header) {
    while !header.has_work() {
        header.nonce += 1;
    }
}

/// Computes the ledger from the blocks of a node's best chain, every rule and signature checked.
pub(crate) async fn rebuild(chain: &Chain) -> ChainView {
    let params = chain.params();
    let tip = chain.view().tip.height();
    let mut view = ChainView::genesis(params);
    for height in 1..=tip.get() {
        let id = chain.best_at(Height::new(height)).await.expect("the store reads").expect("up to the tip");
        let block = chain.block(id).await.expect("the store reads").expect("every body is there");
        let context = check_header(params, &view.tip, &block.header, now()).expect("a valid header");
        let checked = check_block(params, &block).expect("a valid block");
        for signed in &block.transactions {
            let address = signed.transaction().sender_address();
            let key = chain.verifying_key(address).await.expect("the store reads").expect("it was carried");
            check_signature(params, signed, &key).expect("a valid signature");
        }
        view = view.apply(params, &checked, &context).expect("a valid execution").view;
    }
    view
}

/// Asserts that a node's ledger is what its blocks give.
pub(crate) async fn assert_rebuilds(chain: &Chain) {
    let (held, rebuilt) = (chain.view(), rebuild(chain).await);
    assert_eq!(held.tip.id(), rebuilt.tip.id(), "the chain moved while it was computed anew");
    assert_eq!(held.accounts.root(), rebuilt.accounts.root());
    assert_eq!(held.range, rebuilt.range);
    assert_eq!(held.supply, rebuilt.supply);
}
