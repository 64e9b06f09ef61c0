//! Proofs are made and checked with this crate alone, and no byte of one can be changed unnoticed.

use proptest::{prelude::*, sample::Index};

use super::{AccountStatement, AnchoredProof, PastReader, Portable, samples, transaction_view, v1};
use crate::{
    Account, Address, BlockId, Coinbase, EntryId, Hash, Header, Height, Mites, Network, Output, Params, RangeNode,
    RangePeaks, Sender, Signature, SignedTransaction, TimeMs, Transaction, TransactionProof, TxId,
    account::{accounts_root, history_link},
    header::commitment,
    history::{EntryCause, HistoryEntry, HistoryError},
    merkle::{tx_path, tx_root},
    proof::{AccountProof, ProofStep, address_bit},
    range::AncestryProof,
    transaction_proof::{Anchor, TransactionProofError},
    tx::TransactionFields,
};

mod walk;

fn params() -> &'static Params {
    Network::Dev.params()
}

/// Headers that commit to one another, with transfers in one of them.
struct SmallChain {
    headers: Vec<Header>,
    nodes: Vec<RangeNode>,
    peaks: Vec<RangePeaks>,
    accounts_root: Hash,
    leaves: Vec<Hash>,
    transfers: Vec<SignedTransaction>,
}

impl SmallChain {
    /// So many headers above genesis; each commits to these accounts, each has the same transfers.
    fn new(count: usize, transfers: usize, accounts: &[(Address, Account)]) -> Self {
        let transfers: Vec<_> = (1..=transfers as u64).map(|nonce| samples::transfer(nonce, 1)).collect();
        let wids = transfers.iter().map(|signed| Hash::from_bytes(signed.wire_id().to_bytes()));
        let leaves: Vec<_> = [Hash::from_bytes([1; 32])].into_iter().chain(wids).collect();
        let genesis = params().genesis().header;
        let accounts_root = accounts_root(accounts);
        let mut chain =
            Self { headers: vec![genesis], nodes: Vec::new(), peaks: Vec::new(), accounts_root, leaves, transfers };
        let mut range = RangePeaks::default();
        chain.peaks.push(range.clone());
        for nonce in 0..count as u64 {
            let parent = chain.headers[chain.headers.len() - 1];
            chain.nodes.extend(range.append(Self::leaf(&parent)).unwrap());
            chain.peaks.push(range.clone());
            chain.headers.push(Header {
                previous: parent.id(),
                commitment: commitment(&accounts_root, &range.chain_root().unwrap()),
                tx_root: tx_root(&chain.leaves),
                time: TimeMs::new(parent.time.get() + 1_000 + nonce),
                nonce,
                ..genesis
            });
        }
        chain
    }

    fn leaf(header: &Header) -> RangeNode {
        RangeNode::leaf(header, header.bits.target().unwrap().work().unwrap())
    }

    fn tip(&self) -> (Header, RangeNode) {
        let height = self.headers.len() - 1;
        (self.headers[height], self.peaks[height].root().unwrap().unwrap())
    }

    /// The proof of transfer `index` (from 1) of the block at a height.
    fn prove(&self, height: usize, index: usize) -> (TransactionProof, TxId, BlockId) {
        let (tip, range) = self.tip();
        let accounts_root = self.accounts_root;
        let count = self.headers.len() as u64 - 1;
        let anchor = if height as u64 == count {
            Anchor::Tip { accounts_root, range }
        } else {
            let node = |at| Ok::<_, ()>(self.nodes[usize::try_from(at).unwrap()]);
            let ancestry = AncestryProof::build(height as u64, count, node).unwrap().unwrap();
            Anchor::Ancestor { tip, accounts_root, ancestry }
        };
        let signed = self.transfers[index - 1].clone();
        let id = signed.transaction().id(params().genesis_id());
        let path = tx_path(&self.leaves, index).unwrap();
        (TransactionProof { signed, header: self.headers[height], path, anchor }, id, tip.id())
    }

    /// The proof of what the tip says about an address.
    fn account(&self, accounts: &[(Address, Account)], address: &Address) -> AnchoredProof {
        let (header, range) = self.tip();
        AnchoredProof {
            header,
            height: Height::new(range.count),
            chain_root: range.chain_root(),
            range: Some(range),
            proof: prove_account(accounts, address),
        }
    }
}

/// The proof for an address, straight from the definition of the tree. `sorted` is strictly sorted.
fn prove_account(sorted: &[(Address, Account)], address: &Address) -> AccountProof {
    let mut within = sorted.to_vec();
    let mut steps = Vec::new();
    while let [(first, _), .., (last, _)] = within[..] {
        let bit = crate::account::first_differing_bit(&first, &last).unwrap();
        let right = address_bit(address, bit);
        let (taken, other): (Vec<_>, Vec<_>) = within.iter().partition(|(at, _)| address_bit(at, bit) == right);
        steps.push(ProofStep { bit, sibling: accounts_root(&other) });
        within = taken;
    }
    AccountProof { leaf: within.first().copied(), steps }
}

/// Every bit of every byte, and every byte to 0 and to 255: whatever differs must be refused.
fn no_byte_can_be_changed(bytes: &[u8], accepted: impl Fn(&[u8]) -> bool) {
    assert!(accepted(bytes), "the proof itself is good");
    for at in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        let others = (0..8).map(|bit| bytes[at] ^ (1 << bit)).chain([0, 0xff, bytes[at].wrapping_add(1), !bytes[at]]);
        for other in others.filter(|other| *other != bytes[at]) {
            changed[at] = other;
            assert!(!accepted(&changed), "byte {at} of {}: {:#04x} for {:#04x}", bytes.len(), other, bytes[at]);
        }
        assert!(!accepted(&bytes[..at]), "cut at {at}");
        assert!(!accepted(&[&bytes[..at], &bytes[at + 1..]].concat()), "without byte {at}");
        assert!(!accepted(&[&bytes[..=at], &bytes[at..]].concat()), "byte {at} twice");
    }
}

fn transaction_accepted(bytes: &[u8], id: &TxId, tip: &BlockId) -> bool {
    TransactionProof::from_wire_bytes(bytes).is_ok_and(|proof| proof.verify(params(), id, tip).is_ok())
}

#[test]
fn every_transfer_of_every_block_of_small_chains_is_proven_at_its_place() {
    for (count, transfers) in [(1, 1), (2, 2), (3, 5), (7, 3), (12, 4)] {
        let chain = SmallChain::new(count, transfers, &[]);
        for height in 1..=count {
            for index in 1..=transfers {
                let (proof, id, tip) = chain.prove(height, index);
                let proof = TransactionProof::from_wire_bytes(&proof.to_wire_bytes()).unwrap();
                let proven = proof.verify(params(), &id, &tip).unwrap();
                assert_eq!((proven.height.get(), proven.tip_height.get()), (height as u64, count as u64));
                assert_eq!((proven.index as usize, proven.block_id), (index, chain.headers[height].id()));
                // Trivial bits: two attempts a header, genesis and tip counted.
                assert_eq!(proven.claimed_work.get(), 2 * (count as u128 + 1));
            }
        }
    }
}

#[test]
fn no_byte_of_a_transfers_proof_can_be_changed_unnoticed() {
    for (count, height, transfers) in [(1, 1, 1), (6, 6, 3), (2, 1, 2), (9, 4, 4), (11, 8, 1)] {
        let (proof, id, tip) = SmallChain::new(count, transfers, &[]).prove(height, transfers);
        no_byte_can_be_changed(&proof.to_wire_bytes(), |bytes| transaction_accepted(bytes, &id, &tip));
    }
}

#[test]
fn each_fault_of_a_transfers_proof_is_named_by_its_rule() {
    let chain = SmallChain::new(9, 3, &[]);
    let (good, id, tip) = chain.prove(4, 2);
    let rule = |change: &dyn Fn(&mut TransactionProof)| {
        let mut proof = good.clone();
        change(&mut proof);
        proof.verify(params(), &id, &tip).unwrap_err().rule()
    };
    let ancestry = |proof: &mut TransactionProof, change: &dyn Fn(&mut AncestryProof)| {
        let Anchor::Ancestor { ancestry, .. } = &mut proof.anchor else { panic!("it is below the tip") };
        change(ancestry);
    };
    assert_eq!(rule(&|proof| proof.signed = chain.transfers[0].clone()), "R-TXP-01");
    assert_eq!(rule(&|proof| proof.path.index = 0), "R-TXP-02");
    assert_eq!(rule(&|proof| proof.path.count = 9), "R-MRK-03");
    assert_eq!(rule(&|proof| proof.path.index = 3), "R-MRK-04");
    assert_eq!(rule(&|proof| proof.header.bits = crate::Bits::from_compact(0)), "R-TXP-03");
    assert_eq!(rule(&|proof| ancestry(proof, &|path| path.count = 99)), "R-RNG-04");
    assert_eq!(rule(&|proof| ancestry(proof, &|path| path.siblings[0].count = 2)), "R-RNG-05");
    assert_eq!(rule(&|proof| ancestry(proof, &|path| path.siblings[0].first_time = TimeMs::new(0))), "R-RNG-06");
    // The height in another place of the same chain, and a header that was never on it.
    assert_eq!(rule(&|proof| ancestry(proof, &|path| path.index = 5)), "R-RNG-06");
    assert_eq!(rule(&|proof| proof.header.nonce += 1), "R-TXP-04");
    assert_eq!(good.verify(params(), &id, &BlockId::ZERO).unwrap_err().rule(), "R-TXP-05");
    let other = good.verify(Network::Test.params(), &id, &tip).unwrap_err();
    assert!(matches!(other, TransactionProofError::WrongTransaction { .. }), "of another network: {other}");
}

#[test]
fn the_same_proof_in_any_other_encoding_is_refused() {
    use prost::Message as _;
    let (proof, id, tip) = SmallChain::new(5, 2, &[]).prove(3, 1);
    let bytes = proof.to_wire_bytes();
    let same = |other: &[u8]| v1::TransactionProof::decode(other).unwrap() == v1::TransactionProof::from(&proof);
    // An unknown field; a field of its default value; a length in more bytes than it takes; a field twice.
    let (unknown, path_length) =
        ([bytes.as_slice(), &[0xf8, 0x01, 1]].concat(), bytes.windows(2).position(|w| w[0] == 0x0a));
    assert_eq!(path_length, Some(0), "the transaction comes first");
    assert!(bytes[1] >= 0x80 && bytes[2] < 0x80, "a length of two bytes");
    let longer = [&[bytes[0], bytes[1], bytes[2] | 0x80, 0], &bytes[3..]].concat();
    let length = usize::from(bytes[1] & 0x7f) | usize::from(bytes[2]) << 7;
    let twice = [&bytes[..3 + length], bytes.as_slice()].concat();
    let moved = [&bytes[3 + length..], &bytes[..3 + length]].concat();
    for (name, other) in [("unknown", unknown), ("longer", longer), ("twice", twice), ("moved", moved)] {
        assert!(same(&other), "{name}: protobuf reads the same message");
        let error = TransactionProof::from_wire_bytes(&other).unwrap_err();
        assert_eq!(error.to_string(), "message: is not the one encoding of what it says", "{name}");
    }
    assert!(transaction_accepted(&bytes, &id, &tip));
    let huge = TransactionProof::from_wire_bytes(&vec![0; 1 << 17]).unwrap_err();
    assert_eq!(huge.to_string(), "message: expected 0 to 65536 bytes, got 131072");
}

fn some_accounts(count: u8) -> Vec<(Address, Account)> {
    let account = |n: u8| {
        let address = Address::from_bytes(crate::hash::sha256(&[&[n]]));
        (
            address,
            Account { balance: Mites::new(n.into()), next_nonce: 2, entries: 3, history: Hash::from_bytes([n; 32]) },
        )
    };
    let mut accounts: Vec<_> = (0..count).map(account).collect();
    accounts.sort_by_key(|(address, _)| *address);
    accounts
}

fn account_accepted(bytes: &[u8], address: &Address, tip: &BlockId, expected: Option<Account>) -> bool {
    AnchoredProof::from_wire_bytes(bytes).is_ok_and(|proof| proof.verify_under(address, tip) == Ok(expected))
}

#[test]
fn no_byte_of_the_proof_of_an_account_or_of_its_absence_can_be_changed_unnoticed() {
    for (accounts, height) in [(0, 1), (1, 2), (2, 3), (9, 9)] {
        let accounts = some_accounts(accounts);
        let chain = SmallChain::new(height, 1, &accounts);
        let tip = chain.tip().0.id();
        let absent = (Address::from_bytes([0x55; 32]), None);
        let present = accounts.iter().map(|(address, account)| (*address, Some(*account)));
        for (address, expected) in present.chain([absent]) {
            let bytes = chain.account(&accounts, &address).to_wire_bytes();
            no_byte_can_be_changed(&bytes, |bytes| account_accepted(bytes, &address, &tip, expected));
        }
    }
}

#[test]
fn a_proof_at_genesis_has_no_range_and_none_elsewhere_does_without_one() {
    let (header, address) = (params().genesis().header, Address::from_bytes([3; 32]));
    let sorted: Vec<_> = params().allocations.iter().map(|a| (a.address, Account::with_balance(a.amount))).collect();
    let proof = prove_account(&sorted, &address);
    let at_genesis = AnchoredProof { header, height: Height::GENESIS, chain_root: Hash::ZERO, range: None, proof };
    let bytes = at_genesis.to_wire_bytes();
    no_byte_can_be_changed(&bytes, |bytes| account_accepted(bytes, &address, &header.id(), None));
    let accounts = some_accounts(3);
    let chain = SmallChain::new(4, 1, &accounts);
    let unproven = AnchoredProof { range: None, ..chain.account(&accounts, &address) };
    assert_eq!(unproven.verify(&address), Ok(None), "the state is proven, the height is not");
    assert_eq!(unproven.verify_under(&address, &chain.tip().0.id()).unwrap_err().rule(), "R-PRF-06");
    let wrong = AnchoredProof { height: Height::new(5), ..chain.account(&accounts, &address) };
    assert_eq!(wrong.verify(&address).unwrap_err().rule(), "R-PRF-06");
}

fn payer() -> Address {
    samples::key(9).address()
}

/// A transfer of the payer, the first with its key.
fn pay(nonce: u64) -> SignedTransaction {
    let fields = TransactionFields {
        sender: if nonce == 0 { Sender::Key(samples::key(9)) } else { Sender::Address(payer()) },
        nonce,
        fee: Mites::new(7),
        valid_until: None,
        outputs: vec![Output { to: Address::from_bytes([nonce as u8; 32]), amount: Mites::new(1_000 + nonce) }],
        memo: vec![nonce as u8; 3],
    };
    let signature = Signature::from_bytes(&[7; 256]).unwrap();
    SignedTransaction::new(Transaction::new(fields).unwrap(), signature).unwrap()
}

/// What touched the payer, and its state after that: rewards that it lives from, and transfers.
fn past() -> (Account, Vec<HistoryEntry>) {
    let reward = |height| {
        let height = Height::new(height);
        let coinbase = Coinbase { height, to: payer(), amount: Mites::new(1 << 40), tag: vec![7] };
        HistoryEntry { height, cause: EntryCause::Reward(coinbase) }
    };
    let transfer = |nonce| {
        let cause = EntryCause::Transfer(Box::new(pay(nonce).transaction().clone()));
        HistoryEntry { height: Height::new(nonce + 2), cause }
    };
    let entries = vec![reward(1), transfer(0), transfer(1), reward(3), transfer(2), reward(5)];
    (state_after(&entries), entries)
}

fn state_after(entries: &[HistoryEntry]) -> Account {
    let mut account = Account::default();
    let mut balance = 0;
    for entry in entries {
        account.link(entry.id(params()), entry.height);
        let (received, spent) = entry.change(&payer());
        balance += i128::from(received.get()) - i128::from(spent.get());
        account.next_nonce += u64::from(entry.paid_nonce(&payer()).is_some());
    }
    account.balance = Mites::new(u64::try_from(balance).unwrap());
    account
}

/// The statement of the payer on a chain where it has that state, and the tip.
fn statement(account: Account, entries: Vec<HistoryEntry>) -> (AccountStatement, BlockId) {
    let mut accounts = some_accounts(4);
    accounts.push((payer(), account));
    accounts.sort_by_key(|(address, _)| *address);
    let chain = SmallChain::new(7, 1, &accounts);
    (AccountStatement { proof: chain.account(&accounts, &payer()), entries }, chain.tip().0.id())
}

#[test]
fn no_byte_of_an_accounts_whole_past_can_be_changed_unnoticed() {
    let (account, entries) = past();
    let (good, tip) = statement(account, entries);
    let accepted = |bytes: &[u8]| {
        let read = AccountStatement::from_wire_bytes(bytes);
        read.is_ok_and(|read| read.verify(params(), &payer(), &tip) == Ok(Some(account)))
    };
    no_byte_can_be_changed(&good.to_wire_bytes(), accepted);
}

#[test]
fn each_fault_of_a_past_is_named_by_its_rule() {
    let (account, entries) = past();
    // The state is what the entries lead to, so that only the rule itself is broken.
    let rule = |change: &dyn Fn(&mut Account, &mut Vec<HistoryEntry>)| {
        let mut entries = entries.clone();
        let mut account = account;
        change(&mut account, &mut entries);
        let mut linked = Account { entries: 0, history: Hash::ZERO, ..account };
        entries.iter().for_each(|entry| linked.link(entry.id(params()), entry.height));
        let (statement, tip) = statement(linked, entries);
        match statement.verify(params(), &payer(), &tip) {
            Err(super::StatementError::History(error)) => (error.rule(), error),
            other => panic!("{other:?}"),
        }
    };
    let foreign = |_: &mut Account, entries: &mut Vec<HistoryEntry>| {
        let cause = EntryCause::Transfer(Box::new(samples::transfer(3, 2).transaction().clone()));
        entries.push(HistoryEntry { height: Height::new(9), cause });
    };
    assert!(matches!(rule(&foreign), ("R-HIS-03", HistoryError::ForeignEntry { entry: 7 })));
    let late = |_: &mut Account, entries: &mut Vec<HistoryEntry>| entries[5].height = Height::new(6);
    assert!(matches!(rule(&late), ("R-HIS-03", HistoryError::EntryHeight { entry: 6, .. })));
    let falling = |_: &mut Account, entries: &mut Vec<HistoryEntry>| entries[4].height = Height::new(1);
    assert!(matches!(rule(&falling), ("R-HIS-03", HistoryError::EntryMismatch { entry: 5, .. })));
    let swapped = |_: &mut Account, entries: &mut Vec<HistoryEntry>| entries[2].cause = entries[4].cause.clone();
    assert!(matches!(rule(&swapped), ("R-HIS-04", HistoryError::NonceOrder { entry: 3, found: 2, expected: 1 })));
    let missing = |account: &mut Account, _: &mut Vec<HistoryEntry>| account.next_nonce = 4;
    assert!(matches!(rule(&missing), ("R-HIS-04", HistoryError::NonceOrder { found: 4, expected: 3, .. })));
    let rich = |account: &mut Account, _: &mut Vec<HistoryEntry>| account.balance = Mites::new(1);
    assert!(matches!(rule(&rich), ("R-HIS-04", HistoryError::BalanceMismatch { .. })));
    let (mut hidden, tip) = statement(account, entries.clone());
    hidden.entries.pop();
    let error = hidden.verify(params(), &payer(), &tip).unwrap_err();
    assert!(matches!(error, super::StatementError::History(HistoryError::EntryCount { found: 5, expected: 6 })));
    let (mut reordered, tip) = statement(account, entries);
    reordered.entries.swap(0, 1);
    let error = reordered.verify(params(), &payer(), &tip).unwrap_err();
    assert!(matches!(error, super::StatementError::History(HistoryError::WrongHistory { .. })));
}

/// The entries as the API lists them, the oldest first.
fn messages(entries: &[HistoryEntry]) -> Vec<v1::AccountEntry> {
    let mut history = Hash::ZERO;
    let message = |(number, entry): (u64, &HistoryEntry)| {
        let id: EntryId = entry.id(params());
        history = history_link(&history, id, entry.height);
        let cause = match &entry.cause {
            EntryCause::Transfer(transaction) => {
                let signature = Signature::from_bytes(&[7; 256]).unwrap();
                let signed = SignedTransaction::new((**transaction).clone(), signature).unwrap();
                v1::account_entry::Cause::Transaction(transaction_view(params(), &signed))
            }
            EntryCause::Reward(coinbase) => v1::account_entry::Cause::Coinbase(coinbase.into()),
        };
        v1::AccountEntry {
            entry: number,
            height: entry.height.get(),
            id: id.to_bytes().to_vec().into(),
            id_hex: id.to_string(),
            history: history.to_bytes().to_vec().into(),
            time_ms: 5,
            cause: Some(cause),
        }
    };
    (1..).zip(entries).map(message).collect()
}

#[test]
fn pages_in_either_order_make_the_same_statement_and_newer_entries_are_left_out() {
    let (_, all) = past();
    for proven in 1..=all.len() {
        let account = state_after(&all[..proven]);
        let (good, tip) = statement(account, all[..proven].to_vec());
        for newest_first in [true, false] {
            let mut listed = messages(&all);
            if newest_first {
                listed.reverse();
            }
            let mut reader = PastReader::new(params(), payer(), &account, newest_first);
            let mut more = true;
            for message in listed {
                if more {
                    more = reader.take(message).unwrap();
                }
            }
            assert!(!more, "it has enough");
            assert_eq!(reader.finish(good.proof.clone(), &tip), Ok(good.clone()), "{proven} {newest_first}");
        }
    }
}

#[test]
fn an_entry_that_is_missing_or_says_two_things_is_refused() {
    let (account, all) = past();
    let listed = messages(&all);
    let take = |change: &dyn Fn(&mut v1::AccountEntry)| {
        let mut first = listed[0].clone();
        change(&mut first);
        PastReader::new(params(), payer(), &account, false).take(first).unwrap_err().to_string()
    };
    assert_eq!(take(&|m| m.entry = 2), "entry: expected the next entry of the history");
    assert_eq!(take(&|m| m.entry = 0), "entry: expected the next entry of the history");
    assert_eq!(take(&|m| m.cause = None), "cause: is required");
    assert_eq!(take(&|m| m.id = vec![0; 32].into()), "id: does not match cause");
    assert_eq!(take(&|m| m.id_hex = "00".repeat(32)), "id_hex: does not match id");
    let mut second = listed[1].clone();
    let Some(v1::account_entry::Cause::Transaction(view)) = &mut second.cause else { panic!("a transfer") };
    view.output_address_texts[0] = "dfar1somebodyelse".to_owned();
    let error = super::read_account_entry(params(), second).unwrap_err();
    assert_eq!(error.to_string(), "transaction: does not match its texts");
}

/// What a bit flip does not do: any bytes in place of any others, anywhere.
#[derive(Debug, Clone)]
struct Splice {
    at: Index,
    removed: usize,
    inserted: Vec<u8>,
}

fn splice() -> impl Strategy<Value = Splice> {
    let inserted = proptest::collection::vec(any::<u8>(), 0..40);
    (any::<Index>(), 0..40_usize, inserted).prop_map(|(at, removed, inserted)| Splice { at, removed, inserted })
}

impl Splice {
    fn apply(&self, bytes: &[u8]) -> Vec<u8> {
        let at = self.at.index(bytes.len());
        let end = (at + self.removed).min(bytes.len());
        [&bytes[..at], self.inserted.as_slice(), &bytes[end..]].concat()
    }
}

proptest! {
    #[test]
    fn no_splice_of_a_proof_is_accepted(splice in splice(), height in 1..12_usize, transfer in 1..4_usize) {
        let (proof, id, tip) = SmallChain::new(11, 3, &[]).prove(height, transfer);
        let bytes = proof.to_wire_bytes();
        let changed = splice.apply(&bytes);
        prop_assert_eq!(transaction_accepted(&changed, &id, &tip), changed == bytes);
    }

    #[test]
    fn no_splice_of_a_statement_is_accepted(splice in splice()) {
        let (account, entries) = past();
        let (good, tip) = statement(account, entries);
        let bytes = good.to_wire_bytes();
        let changed = splice.apply(&bytes);
        let read = AccountStatement::from_wire_bytes(&changed);
        let accepted = read.is_ok_and(|read| read.verify(params(), &payer(), &tip).is_ok());
        prop_assert_eq!(accepted, changed == bytes);
    }

    #[test]
    fn a_proof_of_one_transfer_or_tip_is_none_of_another(height in 1..12_usize, at in 1..4_usize, other in 1..4_usize) {
        let chain = SmallChain::new(11, 3, &[]);
        let ((proof, id, tip), (_, other_id, _)) = (chain.prove(height, at), chain.prove(height, other));
        prop_assert_eq!(proof.verify(params(), &other_id, &tip).is_ok(), id == other_id);
        let elsewhere = SmallChain::new(12, 3, &[]).tip().0.id();
        prop_assert!(proof.verify(params(), &id, &elsewhere).is_err());
    }
}
