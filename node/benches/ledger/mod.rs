//! Transfers and blocks of the dev network, made as fast as this machine can: what several figures need.

#[allow(dead_code, reason = "not every figure needs a process")]
pub(crate) mod program;
#[allow(dead_code, reason = "not every figure submits")]
pub(crate) mod submit;

use std::{fs, path::Path};

use aws_lc_rs::{
    encoding::AsDer as _,
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use farthing::{
    Address, Block, Coinbase, Hash, Header, Mites, Network, Output, Params, PublicKey, Sender, Signature,
    SignedTransaction, Transaction, header::commitment, tx::TransactionFields,
};
use farthing_consensus::{Executor, apply_touches, required_bits};
use farthing_node::{
    chain::{ChainView, Origin},
    node::Node,
};
use rayon::iter::{IndexedParallelIterator as _, IntoParallelRefMutIterator as _, ParallelIterator as _};

/// Accounts that pay in turn.
pub(crate) const PAYERS: usize = 64;

pub(crate) struct Payer {
    key: KeyPair,
    public: PublicKey,
    nonce: u64,
}

impl Payer {
    fn new(key: KeyPair) -> Self {
        let der = key.public_key().as_der().unwrap();
        Self { public: PublicKey::from_spki(der.as_ref()).unwrap(), key, nonce: 0 }
    }

    #[allow(dead_code, reason = "not every figure asks for it")]
    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(crate) fn pay(&mut self, outputs: Vec<Output>, fee: Mites, memo: Vec<u8>) -> SignedTransaction {
        let sender =
            if self.nonce == 0 { Sender::Key(self.public.clone()) } else { Sender::Address(self.public.address()) };
        let fields = TransactionFields { sender, nonce: self.nonce, fee, valid_until: None, outputs, memo };
        self.nonce += 1;
        let transaction = Transaction::new(fields).unwrap();
        let message = transaction.message(params().genesis_id());
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &message, &mut signature).unwrap();
        SignedTransaction::new(transaction, Signature::from_bytes(&signature).unwrap()).unwrap()
    }
}

pub(crate) fn params() -> &'static Params {
    Network::Dev.params()
}

pub(crate) fn alice() -> Payer {
    let pem = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../wallet/dev-keys/alice.pem")).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    Payer::new(KeyPair::from_pkcs8(&base64(&body)).unwrap())
}

fn base64(text: &str) -> Vec<u8> {
    let value =
        |c: u8| b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".iter().position(|d| *d == c);
    let digits: Vec<u32> = text.bytes().filter_map(value).map(|digit| u32::try_from(digit).unwrap()).collect();
    let group = |group: &[u32]| {
        let bits = group.iter().fold(0, |sum, digit| sum << 6 | digit) << (6 * (4 - group.len()));
        bits.to_be_bytes()[1..group.len()].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}

pub(crate) fn payers() -> Vec<Payer> {
    (0..PAYERS).map(|_| Payer::new(KeyPair::generate(KeySize::Rsa2048).unwrap())).collect()
}

/// A valid block on this view.
pub(crate) fn block(view: &ChainView, transactions: Vec<SignedTransaction>) -> Block {
    let height = view.tip.height().next();
    let mut executor = Executor::new(params(), &view.accounts, height);
    for transaction in &transactions {
        executor.apply(transaction).unwrap();
    }
    let to = params().allocations[0].address;
    let coinbase = Coinbase { height, to, amount: executor.coinbase_amount(), tag: Vec::new() };
    let execution = executor.finish(&coinbase, None).unwrap();
    let mut accounts = view.accounts.clone();
    apply_touches(&mut accounts, &execution.touched, |_, meta| meta.copied().unwrap_or_default());
    let header = Header {
        previous: view.tip.id(),
        commitment: commitment(&accounts.root(), &view.range.chain_root().unwrap()),
        tx_root: Hash::ZERO,
        time: view.tip.time().saturating_add(params().target_spacing_ms),
        bits: required_bits(params(), &view.tip),
        nonce: 0,
    };
    let mut block = Block { header, coinbase, transactions };
    block.header.tx_root = block.tx_root();
    while !block.header.has_work() {
        block.header.nonce += 1;
    }
    block
}

pub(crate) async fn take(node: &Node, block: Block) {
    node.chain().submit_block(block, Origin::Local).await.unwrap();
}

/// Gives each payer money, from alice.
pub(crate) async fn fund(node: &Node, payers: &[Payer]) {
    let amount = Mites::from_far(10_000).unwrap();
    let outputs: Vec<_> = payers.iter().map(|payer| Output { to: payer.public.address(), amount }).collect();
    let fee = Mites::new(params().opening_cost.get() * payers.len() as u64 + 10_000_000);
    let transfer = alice().pay(outputs, fee, Vec::new());
    take(node, block(&node.chain().view(), vec![transfer])).await;
}

/// Transfers of the payers in turn, to one another, each with a memo of so many bytes.
pub(crate) fn transfers(payers: &mut [Payer], count: usize, memo_bytes: usize) -> Vec<SignedTransaction> {
    let addresses: Vec<Address> = payers.iter().map(|payer| payer.public.address()).collect();
    // Signed on all cores, each payer's in order, then put in turn.
    let of_payer = |(at, payer): (usize, &mut Payer)| {
        let pay = |n: usize| {
            let output = Output { to: addresses[(n * 7 + 1) % PAYERS], amount: Mites::new(1_000) };
            payer.pay(vec![output], Mites::new(100_000), vec![b'm'; memo_bytes])
        };
        (at..count).step_by(PAYERS).map(pay).collect::<Vec<_>>().into_iter()
    };
    let mut signed: Vec<_> = payers.par_iter_mut().enumerate().map(of_payer).collect();
    (0..count).map(|n| signed[n % PAYERS].next().unwrap()).collect()
}
