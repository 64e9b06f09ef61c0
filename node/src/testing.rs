//! What unit tests share: the dev network's keys, signed transfers, mined blocks, a chain in memory.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use farthing::{
    Address, Block, Coinbase, Hash, Header, Height, Mites, Network, Output, Params, PublicKey, Sender, Signature,
    SignedTransaction, TimeMs, Transaction,
    checkpoint::{CheckpointAccount, digest, encode_accounts, piece_hash},
    header::commitment,
    tx::TransactionFields,
};
use farthing_consensus::{AccountTree, Entry, Executor, HeaderContext, check_block, check_header, required_bits};
use rsa::{
    RsaPrivateKey,
    pkcs1v15::SigningKey,
    pkcs8::{DecodePrivateKey as _, EncodePublicKey as _},
    signature::{SignatureEncoding as _, Signer as _},
};

use crate::{
    chain::{self, Chain, ChainView, CheckpointOffer},
    env::{Env, ManualClock},
    store::{MemoryStore, Store},
    tasks::Tasks,
};

/// A key of the dev network.
pub(crate) struct TestKey {
    signer: SigningKey<rsa::sha2::Sha256>,
    pub(crate) public: PublicKey,
}

fn load(pem: &str) -> TestKey {
    let private = RsaPrivateKey::from_pkcs8_pem(pem).unwrap();
    let spki = private.to_public_key().to_public_key_der().unwrap();
    TestKey { public: PublicKey::from_spki(spki.as_bytes()).unwrap(), signer: SigningKey::new(private) }
}

pub(crate) static ALICE: LazyLock<TestKey> = LazyLock::new(|| load(include_str!("../../wallet/dev-keys/alice.pem")));
pub(crate) static BOB: LazyLock<TestKey> = LazyLock::new(|| load(include_str!("../../wallet/dev-keys/bob.pem")));

pub(crate) fn dev() -> Arc<Params> {
    Arc::new(Network::Dev.params().clone())
}

impl TestKey {
    pub(crate) fn address(&self) -> Address {
        self.public.address()
    }

    /// A signed transfer of far, with a fee that opens an account if need be.
    pub(crate) fn pay(&self, nonce: u64, to: Address, far: u64) -> SignedTransaction {
        let sender = if nonce == 0 { Sender::Key(self.public.clone()) } else { Sender::Address(self.address()) };
        let transaction = Transaction::new(TransactionFields {
            sender,
            nonce,
            fee: Mites::new(20_000_000),
            valid_until: None,
            outputs: vec![Output { to, amount: Mites::from_far(far).unwrap() }],
            memo: Vec::new(),
        });
        self.sign(transaction.unwrap())
    }

    pub(crate) fn sign(&self, transaction: Transaction) -> SignedTransaction {
        let signature = self.signer.sign(&transaction.message(Network::Dev.params().genesis_id()));
        SignedTransaction::new(transaction, Signature::from_bytes(&signature.to_bytes()).unwrap()).unwrap()
    }
}

/// A valid block on a view, one target spacing after its parent. `mark` makes blocks of equal content differ.
pub(crate) fn mine(params: &Params, view: &ChainView, transactions: Vec<SignedTransaction>, mark: u8) -> Block {
    let height = view.tip.height().next();
    let mut executor = Executor::new(params, &view.accounts, height);
    for transaction in &transactions {
        executor.apply(transaction).unwrap();
    }
    let coinbase =
        Coinbase { height, to: Address::from_bytes([mark; 32]), amount: executor.coinbase_amount(), tag: vec![mark] };
    let execution = executor.finish(&coinbase, None).unwrap();
    let mut accounts: AccountTree<_> = view.accounts.clone();
    for touch in execution.touched {
        let meta = accounts.get(&touch.address).map(|entry| entry.meta).unwrap_or_default();
        accounts.insert(touch.address, Entry { account: touch.after, meta });
    }
    let header = Header {
        previous: view.tip.id(),
        commitment: commitment(&accounts.root(), &view.range.chain_root().unwrap()),
        tx_root: Hash::ZERO,
        time: view.tip.time().saturating_add(params.target_spacing_ms),
        bits: required_bits(params, &view.tip),
        nonce: 0,
    };
    let mut block = Block { header, coinbase, transactions };
    block.header.tx_root = block.tx_root();
    solve(block)
}

/// Searches a nonce; on dev two attempts are expected.
pub(crate) fn solve(mut block: Block) -> Block {
    while !block.header.has_work() {
        block.header.nonce += 1;
    }
    block
}

/// A chain in memory with a clock that is moved by hand and stands a day after genesis.
pub(crate) struct TestChain {
    pub(crate) chain: Chain,
    pub(crate) clock: ManualClock,
    pub(crate) tasks: Tasks,
    pub(crate) store: Arc<MemoryStore>,
}

impl TestChain {
    pub(crate) fn start() -> Self {
        Self::with(chain::Settings::default())
    }

    pub(crate) fn with(settings: chain::Settings) -> Self {
        Self::on(MemoryStore::new(&dev()).0, settings)
    }

    /// One that cannot tell which transactions are mined.
    pub(crate) fn without_transaction_index() -> Self {
        Self::on(MemoryStore::new(&dev()).0.without_transaction_index(), chain::Settings::default())
    }

    fn on(store: MemoryStore, settings: chain::Settings) -> Self {
        let params = dev();
        let clock = ManualClock::new(params.genesis_time.saturating_add(86_400_000));
        let env = Env::system().unwrap().with_clock(clock.clone());
        let tasks = Tasks::new();
        let (store, view) = (Arc::new(store), ChainView::genesis(&params));
        let kept = Arc::clone(&store) as Arc<dyn Store>;
        let chain = chain::start(params, env, kept, view, Vec::new(), settings, &tasks);
        Self { chain, clock, tasks, store }
    }

    pub(crate) fn now(&self) -> TimeMs {
        crate::env::Clock::now(&self.clock)
    }

    pub(crate) async fn height_reaches(&self, height: u64) {
        let mut view = self.chain.watch();
        let reached = view.wait_for(|view| view.tip.height() >= Height::new(height));
        tokio::time::timeout(Duration::from_secs(20), reached).await.unwrap().unwrap();
    }
}

/// A chain as peers have it, from genesis on.
pub(crate) struct TestSource {
    pub(crate) headers: Vec<Header>,
    views: Vec<ChainView>,
}

/// A checkpoint as a peer gives it.
#[derive(Clone)]
pub(crate) struct TestCheckpoint {
    pub(crate) offer: CheckpointOffer,
    pub(crate) hashes: Vec<Hash>,
    pub(crate) pieces: Vec<Vec<u8>>,
}

impl TestSource {
    /// So many blocks, in the first of which alice pays bob. `mark` makes branches differ.
    pub(crate) fn grow(blocks: usize, mark: u8) -> Self {
        let params = dev();
        let (mut headers, mut views) = (Vec::new(), vec![ChainView::genesis(&params)]);
        for number in 0..blocks {
            let view = &views[number];
            let transfers = if number == 0 { vec![ALICE.pay(0, BOB.address(), 5)] } else { Vec::new() };
            let block = mine(&params, view, transfers, mark);
            let context = check_header(&params, &view.tip, &block.header, block.header.time).unwrap();
            let applied = view.apply(&params, &check_block(&params, &block).unwrap(), &context).unwrap();
            headers.push(block.header);
            views.push(applied.view);
        }
        Self { headers, views }
    }

    pub(crate) fn tip(&self) -> HeaderContext {
        self.views.last().unwrap().tip
    }

    /// The accounts after the block at a height.
    pub(crate) fn accounts(&self, height: u64) -> Vec<CheckpointAccount> {
        let key = |address| [&ALICE.public, &BOB.public].into_iter().find(|key| key.address() == address).cloned();
        let accounts = self.views[usize::try_from(height).unwrap()].accounts.iter();
        let read = |(address, entry): (&Address, &Entry<_>)| CheckpointAccount {
            address: *address,
            account: entry.account,
            key: key(*address).filter(|_| entry.account.next_nonce > 0),
        };
        accounts.map(read).collect()
    }

    /// The checkpoint of the block at a height.
    pub(crate) fn checkpoint(&self, height: u64) -> TestCheckpoint {
        self.checkpoint_of(height, &self.accounts(height))
    }

    /// What a peer gives that says these were the accounts after the block at a height.
    pub(crate) fn checkpoint_of(&self, height: u64, accounts: &[CheckpointAccount]) -> TestCheckpoint {
        let pieces: Vec<_> = accounts.chunks(1_000).map(encode_accounts).collect();
        let hashes: Vec<_> = pieces.iter().map(|piece| piece_hash(piece)).collect();
        let (block, count) = (self.views[usize::try_from(height).unwrap()].tip.id(), accounts.len() as u64);
        let offer = CheckpointOffer {
            height: Height::new(height),
            block,
            accounts: count,
            bytes: pieces.iter().map(|piece| piece.len() as u64).sum(),
            digest: digest(&block, count, &hashes),
        };
        TestCheckpoint { offer, hashes, pieces }
    }
}

/// Accounts that nobody ever had, in order.
pub(crate) fn made_up_accounts(count: u32) -> Vec<CheckpointAccount> {
    let account = |number: u32| {
        let mut address = [0; 32];
        address[..4].copy_from_slice(&number.to_be_bytes());
        let account = farthing::Account { balance: Mites::new(1), ..farthing::Account::default() };
        CheckpointAccount { address: Address::from_bytes(address), account, key: None }
    };
    (0..count).map(account).collect()
}
