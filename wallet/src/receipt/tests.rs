//! Receipts of a small development chain, whole and tampered with.

use farthing::{
    Hash, Height, Mites, Output, RangeNode, RangePeaks, Sender, TimeMs, Transaction,
    account::accounts_root,
    header::commitment,
    merkle::{tx_path, tx_root},
    params::Network,
    proof::{AccountProof, ProofStep, address_bit},
    range::AncestryProof,
    tx::TransactionFields,
};

use super::*;
use crate::{
    error::{Exit, Explain as _},
    keystore::{FileSigner, Signer as _, dev},
};

fn params() -> &'static Params {
    Network::Dev.params()
}

fn signer(name: &str) -> FileSigner {
    FileSigner::new(dev::key(&name.parse().unwrap()).unwrap())
}

fn transfer() -> SignedTransaction {
    let alice = signer("alice");
    let to = |name: &str| signer(name).public().address();
    let transaction = Transaction::new(TransactionFields {
        sender: Sender::Key(alice.public().clone()),
        nonce: 0,
        fee: Mites::new(70_000),
        valid_until: None,
        outputs: [("bob", 5), ("carol", 6), ("bob", 7)]
            .map(|(name, amount)| Output { to: to(name), amount: Mites::new(amount) })
            .to_vec(),
        memo: b"rent".to_vec(),
    });
    alice.sign(transaction.unwrap(), params().genesis_id()).unwrap()
}

/// A chain in which every block but genesis has the same accounts, and one has the transfer.
struct Chain {
    headers: Vec<Header>,
    /// Nodes over all headers but the last.
    nodes: Vec<RangeNode>,
    range: Option<RangeNode>,
    accounts: Vec<(Address, Account)>,
}

/// Later than all blocks here.
const NOW: SystemTime = SystemTime::UNIX_EPOCH;

const LEAVES: [Hash; 3] = [Hash::from_bytes([1; 32]), Hash::ZERO, Hash::from_bytes([3; 32])];

fn leaves() -> Vec<Hash> {
    let mut leaves = LEAVES.to_vec();
    leaves[1] = Hash::from_bytes(transfer().wire_id().to_bytes());
    leaves
}

fn leaf(header: &Header) -> RangeNode {
    RangeNode::leaf(header, header.bits.target().unwrap().work().unwrap())
}

impl Chain {
    /// `blocks` above genesis, the transfer in the one at `at`.
    fn new(blocks: u64, at: u64) -> Self {
        let mut accounts: Vec<(Address, Account)> = ["alice", "bob"]
            .map(|name| (signer(name).public().address(), Account::with_balance(Mites::new(1_000))))
            .to_vec();
        accounts.sort_unstable_by_key(|(address, _)| *address);
        let root = accounts_root(&accounts);
        let (mut peaks, mut nodes, mut headers) = (RangePeaks::default(), Vec::new(), vec![params().genesis().header]);
        for height in 1..=blocks {
            let parent = headers[headers.len() - 1];
            nodes.extend(peaks.append(leaf(&parent)).unwrap());
            let mut header = Header {
                previous: parent.id(),
                commitment: commitment(&root, &peaks.chain_root().unwrap()),
                tx_root: if height == at { tx_root(&leaves()) } else { Hash::ZERO },
                time: TimeMs::new(parent.time.get() + 2_000),
                bits: params().genesis_bits,
                nonce: 0,
            };
            while !header.has_work() {
                header.nonce += 1;
            }
            headers.push(header);
        }
        Self { headers, nodes, range: peaks.root().unwrap(), accounts }
    }

    fn tip(&self) -> Header {
        self.headers[self.headers.len() - 1]
    }

    fn count(&self) -> u64 {
        self.headers.len() as u64 - 1
    }

    fn account(&self, address: &Address) -> AnchoredProof {
        // Of two leaves, the one on the address's side of the first bit in which they differ.
        let [left, right] = [self.accounts[0], self.accounts[1]];
        let bit = (0..=255).find(|bit| address_bit(&left.0, *bit) != address_bit(&right.0, *bit)).unwrap();
        let (leaf, other) = if address_bit(address, bit) { (right, left) } else { (left, right) };
        let steps = vec![ProofStep { bit, sibling: other.1.leaf_hash(&other.0) }];
        AnchoredProof {
            header: self.tip(),
            height: Height::new(self.count()),
            chain_root: self.range.unwrap().chain_root(),
            range: self.range,
            proof: AccountProof { leaf: Some(leaf), steps },
        }
    }

    fn receipt(&self, at: u64) -> Receipt {
        let header = self.headers[at as usize];
        let node = |position: u64| Ok::<_, ()>(self.nodes[position as usize]);
        let accounts_root = accounts_root(&self.accounts);
        let anchor = if at == self.count() {
            Anchor::Tip { accounts_root, range: self.range.unwrap() }
        } else {
            let ancestry = AncestryProof::build(at, self.count(), node).unwrap().unwrap();
            Anchor::Ancestor { tip: self.tip(), accounts_root, ancestry }
        };
        let path = tx_path(&leaves(), 1).unwrap();
        let proof = TransactionProof { signed: transfer(), header, path, anchor };
        let header_at = |height: u64| Ok::<_, ()>(self.headers[height as usize]);
        let chain = ChainProof::build(self.tip(), accounts_root, self.count(), node, header_at).unwrap().unwrap();
        let accounts = recipients(&transfer()).iter().map(|to| self.account(to)).collect();
        let between = at as usize + 1..(gapless_from(self.count()) as usize).max(at as usize + 1);
        Receipt::new(*params().genesis_id(), proof, chain, self.headers[between].to_vec(), accounts)
    }

    /// Puts another header, one with the transfer, into the range below the tip, and mines a tip that commits to it.
    fn slip_in(&mut self, at: u64) -> Header {
        let root = accounts_root(&self.accounts);
        let mined = |mut header: Header| {
            while !header.has_work() {
                header.nonce += 1;
            }
            header
        };
        let header = mined(Header { tx_root: tx_root(&leaves()), ..self.headers[at as usize] });
        let mut peaks = RangePeaks::default();
        self.nodes.clear();
        for (height, genuine) in (0..).zip(&self.headers[..self.count() as usize]) {
            self.nodes.extend(peaks.append(leaf(if height == at { &header } else { genuine })).unwrap());
        }
        self.range = peaks.root().unwrap();
        let tip = self.headers.last_mut().unwrap();
        *tip = mined(Header { commitment: commitment(&root, &peaks.chain_root().unwrap()), ..*tip });
        header
    }
}

fn file_with(text: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn check(text: &[u8]) -> Result<Proven, ReceiptError> {
    Receipt::read(file_with(text).path())?.verify(params(), NOW)
}

#[test]
fn a_receipt_proves_the_payment_its_place_and_the_work_behind_it() {
    for (blocks, at) in [(1, 1), (2, 1), (9, 4), (30, 30), (65, 1)] {
        let proven = check(Chain::new(blocks, at).receipt(at).to_text().as_bytes()).unwrap();
        assert_eq!((proven.place.height, proven.place.index), (Height::new(at), 1));
        assert_eq!((proven.place.confirmations(), proven.error_bits), (blocks - at + 1, None), "{blocks}");
        assert_eq!(proven.transfer, transfer());
        // A header of this network takes two attempts, on average; genesis counts as one.
        assert_eq!(proven.total_work.get(), 2 * u128::from(blocks + 1), "{blocks}");
        assert_eq!(proven.work_since.get(), 2 * u128::from(blocks - at + 1), "{at} of {blocks}");
        let exists: Vec<bool> = proven.recipients.iter().map(|(_, account)| account.is_some()).collect();
        let expected: Vec<bool> =
            recipients(&transfer()).iter().map(|to| *to == signer("bob").public().address()).collect();
        assert_eq!(exists, expected);
    }
}

#[test]
fn a_long_chain_is_sampled_and_says_what_that_leaves_to_chance() {
    let proven = check(Chain::new(3_000, 2).receipt(2).to_text().as_bytes()).unwrap();
    assert_eq!((proven.error_bits, proven.place.confirmations()), (Some(50), 2_999));
    // Those of the sample, and all above the transfer's.
    assert!((3_000..3_600).contains(&proven.headers_checked), "{}", proven.headers_checked);
    let recent = check(Chain::new(3_000, 2_950).receipt(2_950).to_text().as_bytes()).unwrap();
    assert!(recent.headers_checked < 600, "{}", recent.headers_checked);
    assert_eq!(proven.work_since.get(), 2 * 2_999);
}

#[test]
fn no_byte_of_the_file_can_be_changed() {
    let text = Chain::new(4, 2).receipt(2).to_text().into_bytes();
    check(&text).unwrap();
    for at in 0..text.len() {
        let mut changed = text.clone();
        changed[at] ^= 1 << (at % 8);
        let error = check(&changed).unwrap_err();
        assert_eq!(error.exit(), Exit::Verification, "byte {at}: {error}");
    }
}

/// Whoever writes a new checksum over a changed receipt gets no further, but on a network where work costs nothing: there
/// the tip may become another one. What the receipt says of the payment stays.
#[test]
fn no_byte_can_be_changed_with_a_new_checksum_either() {
    let receipt = Chain::new(4, 2).receipt(2);
    let bytes = receipt.encode();
    let (genuine, mut passed) = (receipt.verify(params(), NOW).unwrap(), 0);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            let Ok(receipt) = Receipt::decode(&changed) else { continue };
            let Ok(proven) = receipt.verify(params(), NOW) else { continue };
            passed += 1;
            assert_eq!((proven.id, &proven.place), (genuine.id, &genuine.place), "bit {bit} of byte {at}");
            assert_eq!(proven.recipients, genuine.recipients);
        }
    }
    // The tip stands in it several times, so that one change alone never passes.
    assert_eq!(passed, 0);
}

/// The tip commits to all headers before it, but what one header commits to costs the work of that one. A header that nobody asks for
/// can so be another one than the headers above it were built on.
#[test]
fn a_block_that_was_slipped_in_between_the_headers_that_are_shown_is_refused() {
    let mut chain = Chain::new(3_000, 0);
    let at = (1_000..1_100).find(|at| {
        chain.slip_in(*at);
        let node = |position: u64| Ok::<_, ()>(chain.nodes[position as usize]);
        let header = |height: u64| Ok::<_, ()>(chain.headers[height as usize]);
        let proof = ChainProof::build(chain.tip(), accounts_root(&chain.accounts), chain.count(), node, header)
            .unwrap()
            .unwrap();
        verify_chain_proof(params(), &proof).is_ok()
    });
    let at = at.expect("a header that is not sampled");
    let slipped = chain.slip_in(at);
    let mut receipt = chain.receipt(at);
    receipt.transfer.header = slipped;
    let id = transfer().transaction().id(params().genesis_id());
    let place = receipt.transfer.verify(params(), &id, &chain.tip().id()).unwrap();
    assert_eq!(place.confirmations(), 3_001 - at, "the way to the tip holds");
    let error = receipt.verify(params(), NOW).unwrap_err();
    assert!(matches!(&error, ReceiptError::Link { height, .. } if height.get() == at + 1), "{error}");
    // Nor without those headers, or with its own.
    receipt.links.clear();
    assert_eq!(receipt.verify(params(), NOW).unwrap_err().code(), "RECEIPT_NOT_PROVEN");
    receipt.links = vec![Header { previous: slipped.id(), ..chain.headers[at as usize + 1] }];
    assert_eq!(receipt.verify(params(), NOW).unwrap_err().code(), "RECEIPT_NOT_PROVEN");
}

#[test]
fn headers_above_the_block_are_whole_and_no_byte_of_them_can_be_changed() {
    let chain = Chain::new(120, 2);
    let good = chain.receipt(2);
    assert_eq!(good.links.len() as u64, gapless_from(120) - 3);
    good.verify(params(), NOW).unwrap();
    let refused = |links: Vec<Header>| {
        let error = Receipt { links, ..good.clone() }.verify(params(), NOW).unwrap_err();
        assert_eq!((error.code(), error.exit()), ("RECEIPT_NOT_PROVEN", Exit::Verification), "{error}");
    };
    refused(good.links[1..].to_vec());
    refused(good.links[..good.links.len() - 1].to_vec());
    refused([good.links.as_slice(), &chain.headers[gapless_from(120) as usize..][..1]].concat());
    refused(good.links.iter().rev().copied().collect());
    // A block that the chain's proof shows has nothing between.
    let recent = Receipt { links: vec![chain.headers[119]], ..chain.receipt(118) };
    assert!(matches!(recent.verify(params(), NOW), Err(ReceiptError::Transfer(_) | ReceiptError::Contradiction(_))));
    let bytes = good.encode();
    let first = good.links[0].to_canonical();
    let begin = bytes.windows(first.len()).position(|window| *window == first).unwrap();
    for at in (begin..begin + good.links.len() * HEADER_BYTES).step_by(31) {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        // What is no header any more does not even come so far.
        if let Ok(changed) = Receipt::decode(&changed) {
            refused(changed.links);
        }
    }
}

#[test]
fn parts_of_different_receipts_do_not_go_together() {
    let [short, long] = [Chain::new(9, 4), Chain::new(10, 4)];
    let [one, other] = [short.receipt(4), long.receipt(4)];
    let table = [
        (Receipt { chain: other.chain.clone(), ..one.clone() }, "RECEIPT_NOT_PROVEN"),
        (Receipt { transfer: other.transfer.clone(), ..one.clone() }, "RECEIPT_NOT_PROVEN"),
        (Receipt { accounts: other.accounts.clone(), ..one.clone() }, "RECEIPT_NOT_PROVEN"),
        (Receipt { accounts: one.accounts.iter().rev().cloned().collect(), ..one.clone() }, "RECEIPT_NOT_PROVEN"),
        (Receipt { accounts: Vec::new(), ..one.clone() }, "RECEIPT_NOT_PROVEN"),
        (Receipt { genesis: BlockId::ZERO, ..one }, "WRONG_NETWORK"),
    ];
    for (receipt, code) in table {
        let error = receipt.verify(params(), NOW).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
}

#[test]
fn a_receipt_has_one_encoding_and_nothing_behind_it() {
    let bytes = Chain::new(3, 2).receipt(2).encode();
    assert!(Receipt::decode(&bytes).is_ok());
    assert!(Receipt::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
    // An unknown field of protobuf, in a part whose count says so.
    let (head, rest) = bytes.split_at(32);
    let length = u32::from_le_bytes(rest[..4].try_into().unwrap());
    let (part, behind) = rest[4..].split_at(length as usize);
    let padded = [head, &(length + 2).to_le_bytes(), part, &[0x78, 0], behind].concat();
    assert_eq!(Receipt::decode(&padded).unwrap_err(), "it is not encoded as receipts are");
}
