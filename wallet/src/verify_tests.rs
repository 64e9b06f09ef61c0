//! Honest answers pass; every lie that a node could tell about an account is noticed.

use std::time::{Duration, UNIX_EPOCH};

use farthing::{
    Account, Address, Coinbase, EntryId, Hash, Header, Height, Mites, Output, Params, Sender, TimeMs, Transaction,
    account::accounts_root,
    header::commitment,
    params::Network,
    proof::AccountProof,
    tx::TransactionFields,
    wire::{AnchoredProof, AnchoredProofError, transaction_view, v1},
};

use super::*;
use crate::keystore::{FileSigner, Signer as _, dev};

fn network() -> &'static Params {
    Network::Dev.params()
}

fn alice() -> FileSigner {
    FileSigner::new(dev::key(&"alice".parse().unwrap()).unwrap())
}

/// A state of one account, committed to by a header with work on the development network.
fn anchored(address: Address, account: Account) -> AnchoredProof {
    committed(address, account, Hash::from_bytes([9; 32]))
}

/// The same behind headers with this root.
fn committed(address: Address, account: Account, chain_root: Hash) -> AnchoredProof {
    let root = accounts_root(&[(address, account)]);
    let mut header = Header {
        previous: *network().genesis_id(),
        commitment: commitment(&root, &chain_root),
        tx_root: Hash::ZERO,
        time: TimeMs::new(1_800_000_000_000),
        bits: network().genesis_bits,
        nonce: 0,
    };
    while !header.has_work() {
        header.nonce += 1;
    }
    let proof = AccountProof { leaf: Some((address, account)), steps: Vec::new() };
    AnchoredProof { header, height: Height::new(1), chain_root, range: None, proof }
}

fn answer(asked: &Address, anchored: &AnchoredProof, stated: Option<Account>) -> v1::GetAccountResponse {
    v1::GetAccountResponse {
        address: asked.to_bytes().to_vec().into(),
        exists: stated.is_some(),
        account: Some((&stated.unwrap_or_default()).into()),
        proof: Some(anchored.into()),
        ..v1::GetAccountResponse::default()
    }
}

fn state(balance: u64) -> Account {
    Account::with_balance(Mites::new(balance))
}

#[test]
fn an_honest_answer_is_believed_and_says_what_was_checked() {
    let address = alice().public().address();
    let proof = anchored(address, state(5));
    let verified = account(network(), &address, &answer(&address, &proof, Some(state(5)))).unwrap();
    assert_eq!(verified.account, Some(state(5)));
    let evidence = verified.evidence();
    assert_eq!(evidence.header_id, proof.header.id().to_string());
    assert!(evidence.not_verified.iter().any(|what| what.contains("most work")));
}

#[test]
fn a_height_is_said_to_be_proven_exactly_if_it_is() {
    let address = alice().public().address();
    let tell = |proof: &AnchoredProof| {
        let verified = account(network(), &address, &answer(&address, proof, Some(state(5))))?;
        let evidence = verified.evidence().of_a_mined_transfer();
        Ok((verified.height_is_proven, evidence.verified.join(", "), evidence.not_verified.join(", ")))
    };
    let (stated, verified, not_verified) = tell(&anchored(address, state(5))).unwrap();
    assert!(!stated && !verified.contains("height"), "{verified}");
    let expected =
        "that the header is on the chain with the most work, its height, how many blocks stand above the transfer's";
    assert_eq!(not_verified, expected);
    // The one header before it is genesis.
    let range = farthing::RangeNode::leaf(&network().genesis().header, farthing::Work::new(2));
    let mut proof = AnchoredProof { range: Some(range), ..committed(address, state(5), range.chain_root()) };
    let (proven, verified, not_verified) = tell(&proof).unwrap();
    assert!(
        proven && verified.contains("its height, that the sender's history contains the transfer, how many blocks")
    );
    assert_eq!(not_verified, "that the header is on the chain with the most work");
    proof.height = Height::new(2);
    let error: VerifyError = tell(&proof).unwrap_err();
    assert!(matches!(error, VerifyError::Proof(AnchoredProofError::WrongHeight { found: 1, .. })), "{error}");
}

#[test]
fn an_absent_account_is_proven_absent() {
    let proof = anchored(Address::from_bytes([1; 32]), state(5));
    let address = Address::from_bytes([0x81; 32]);
    let verified = account(network(), &address, &answer(&address, &proof, None)).unwrap();
    assert_eq!((verified.account, verified.state().balance), (None, Mites::ZERO));
}

#[test]
fn lies_about_the_account_are_noticed() {
    let address = alice().public().address();
    let proof = anchored(address, state(5));
    let honest = answer(&address, &proof, Some(state(5)));
    let code = |answer: &v1::GetAccountResponse| {
        let error = account(network(), &address, answer).unwrap_err();
        assert_eq!(error.exit(), Exit::Verification);
        error
    };
    let richer = answer(&address, &proof, Some(state(6)));
    assert!(matches!(code(&richer), VerifyError::Contradiction("the account's state")));
    let hidden = answer(&address, &proof, None);
    assert!(matches!(code(&hidden), VerifyError::Contradiction("whether it exists")));
    let without = v1::GetAccountResponse { proof: None, ..honest.clone() };
    assert!(matches!(code(&without), VerifyError::NoProof));
    let other = v1::GetAccountResponse { address: vec![0; 32].into(), ..honest };
    assert!(matches!(code(&other), VerifyError::Contradiction("the address")));
    let mut forged = proof.clone();
    forged.proof.leaf = Some((address, state(6)));
    let forged = answer(&address, &forged, Some(state(6)));
    assert!(matches!(code(&forged), VerifyError::Proof(AnchoredProofError::WrongCommitment { .. })));
}

#[test]
fn a_header_without_work_or_with_an_easy_target_proves_nothing() {
    let address = alice().public().address();
    let mut lazy = anchored(address, state(5));
    while lazy.header.has_work() {
        lazy.header.nonce += 1;
    }
    let error = account(network(), &address, &answer(&address, &lazy, Some(state(5)))).unwrap_err();
    assert!(matches!(error, VerifyError::NoWork(_)));
    let easy = anchored(address, state(5));
    let main = Network::Main.params();
    let error = account(main, &address, &answer(&address, &easy, Some(state(5)))).unwrap_err();
    assert!(matches!(error, VerifyError::TargetTooEasy(_)));
}

#[test]
fn only_the_real_genesis_may_stand_at_height_zero() {
    let address = alice().public().address();
    let mut proof = anchored(address, state(5));
    proof.height = Height::GENESIS;
    let error = account(network(), &address, &answer(&address, &proof, Some(state(5)))).unwrap_err();
    assert!(matches!(error, VerifyError::OtherGenesis(_)));
}

/// Alice's history: a reward of 7 and a transfer of 2 far to bob, on top of her allocation.
fn history() -> (VerifiedAccount, Vec<v1::AccountEntry>) {
    let signer = alice();
    let address = signer.public().address();
    let coinbase = Coinbase { height: Height::new(1), to: address, amount: Mites::new(7), tag: b"x".to_vec() };
    let transaction = Transaction::new(TransactionFields {
        sender: Sender::Key(signer.public().clone()),
        nonce: 0,
        fee: Mites::new(3),
        valid_until: None,
        outputs: vec![Output { to: Address::from_bytes([4; 32]), amount: Mites::new(2) }],
        memo: Vec::new(),
    });
    let transfer = signer.sign(transaction.unwrap(), network().genesis_id()).unwrap();
    let allocation = network().allocations.iter().find(|one| one.address == address).unwrap().amount.get();
    let mut account = state(allocation + 7 - 5);
    account.next_nonce = 1;
    let mut entries = Vec::new();
    let causes = [
        (EntryId::from(coinbase.id(network().genesis_id())), v1::account_entry::Cause::Coinbase((&coinbase).into())),
        (
            EntryId::from(transfer.transaction().id(network().genesis_id())),
            v1::account_entry::Cause::Transaction(transaction_view(network(), &transfer)),
        ),
    ];
    for (number, (id, cause)) in (1..).zip(causes) {
        account.link(id, Height::new(number));
        entries.push(v1::AccountEntry {
            entry: number,
            height: number,
            id: id.as_bytes().to_vec().into(),
            id_hex: hex::encode(id.as_bytes()),
            history: account.history.to_bytes().to_vec().into(),
            cause: Some(cause),
            time_ms: 0,
        });
    }
    entries.reverse();
    let anchored = anchored(address, account);
    (
        VerifiedAccount {
            address,
            account: Some(account),
            header: anchored.header,
            height: Height::new(2),
            height_is_proven: false,
        },
        entries,
    )
}

fn walk(account: &VerifiedAccount, entries: &[v1::AccountEntry]) -> Result<Vec<Entry>, VerifyError> {
    let mut walk = HistoryWalk::new(network(), account);
    let mut proven = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let before = entries.get(at + 1).map_or(Ok(Hash::ZERO), stated_head)?;
        proven.push(walk.step(entry.clone(), before)?);
    }
    walk.finish()?;
    Ok(proven)
}

#[test]
fn an_honest_history_adds_up_to_the_balance() {
    let (account, entries) = history();
    let proven = walk(&account, &entries).unwrap();
    assert_eq!(proven.len(), 2);
    assert_eq!(proven[0].change(&account.address), (Mites::ZERO, Mites::new(5)));
    assert_eq!(proven[1].change(&account.address), (Mites::new(7), Mites::ZERO));
}

#[test]
fn a_changed_hidden_or_swapped_entry_breaks_the_chain() {
    let (account, honest) = history();
    let broken = |entries: &[v1::AccountEntry]| {
        assert!(matches!(walk(&account, entries), Err(VerifyError::BrokenHistory { .. })));
    };
    broken(&honest[1..]);
    broken(&[honest[1].clone(), honest[0].clone()]);
    let mut moved = honest.clone();
    moved[0].height += 1;
    broken(&moved);
    let mut richer = honest.clone();
    if let Some(v1::account_entry::Cause::Coinbase(coinbase)) = &mut richer[1].cause {
        coinbase.amount_mites += 1;
    }
    broken(&richer);
    let mut renamed = honest.clone();
    renamed[1].history = vec![5; 32].into();
    broken(&renamed);
}

#[test]
fn a_history_that_does_not_add_up_is_refused() {
    let (mut account, entries) = history();
    account.account.as_mut().unwrap().balance = Mites::new(1);
    assert!(matches!(walk(&account, &entries), Err(VerifyError::BalanceMismatch { .. })));
}

#[test]
fn genesis_may_stand_for_itself_only_and_is_not_said_to_have_work() {
    // Without allocations every account is proven absent by a tree without leaves.
    let main = Network::Main.params();
    let address = alice().public().address();
    let proof = AccountProof { leaf: None, steps: Vec::new() };
    let header = main.genesis().header;
    let mut first = AnchoredProof { header, height: Height::GENESIS, chain_root: Hash::ZERO, range: None, proof };
    let evidence = account(main, &address, &answer(&address, &first, None)).unwrap().evidence();
    let text = evidence.to_string();
    assert!(text.contains("the network's first block, which has no work"), "{text}");
    assert!(text.contains("work 0") && !text.contains("proof of work"), "{text}");
    assert!(text.contains("not verified: that no later block exists"), "{text}");
    assert_eq!(evidence.age_note(UNIX_EPOCH + Duration::from_secs(1 << 40)), None);
    first.height = Height::new(1_000_000);
    let error = account(main, &address, &answer(&address, &first, None)).unwrap_err();
    assert!(matches!(error, VerifyError::GenesisAbove(height) if height == first.height), "{error}");
}

#[test]
fn an_old_header_is_remarked_on() {
    let address = alice().public().address();
    let proof = anchored(address, state(5));
    let evidence = account(network(), &address, &answer(&address, &proof, Some(state(5)))).unwrap().evidence();
    let made = UNIX_EPOCH + Duration::from_millis(proof.header.time.get());
    let note = |seconds: u64| evidence.age_note(made + Duration::from_secs(seconds));
    assert_eq!(note(599), None);
    assert!(note(600).unwrap().starts_with("block 1 is 10 minutes old"));
    assert!(note(3 * 3600).unwrap().contains("3 hours"));
    assert!(note(3 * 86_400).unwrap().contains("3 days"));
    assert_eq!(evidence.age_note(UNIX_EPOCH), None);
}

/// Links causes into an account as a node that lies with work of its own could: the chain holds, the rules do not.
fn linked(balance: u64, next_nonce: u64, causes: Vec<(u64, Cause)>) -> (VerifiedAccount, Vec<v1::AccountEntry>) {
    let genesis = network().genesis_id();
    let address = alice().public().address();
    let mut account = state(balance);
    account.next_nonce = next_nonce;
    let mut entries = Vec::new();
    for (number, (height, cause)) in (1..).zip(causes) {
        let (id, cause) = match cause {
            Cause::Transfer(transfer) => {
                let view = transaction_view(network(), &transfer);
                let id = EntryId::from(transfer.transaction().id(genesis));
                (id, v1::account_entry::Cause::Transaction(view))
            }
            Cause::Reward(amount) => {
                let coinbase = Coinbase { height: Height::new(5), to: address, amount, tag: b"x".to_vec() };
                (EntryId::from(coinbase.id(genesis)), v1::account_entry::Cause::Coinbase((&coinbase).into()))
            }
        };
        account.link(id, Height::new(height));
        entries.push(v1::AccountEntry {
            entry: number,
            height,
            id: id.as_bytes().to_vec().into(),
            id_hex: hex::encode(id.as_bytes()),
            history: account.history.to_bytes().to_vec().into(),
            cause: Some(cause),
            time_ms: 0,
        });
    }
    entries.reverse();
    let header = anchored(address, account).header;
    (
        VerifiedAccount { address, account: Some(account), header, height: Height::new(99), height_is_proven: false },
        entries,
    )
}

/// A transfer by one of the well-known keys to another, of 2 mites for a fee of 3.
fn transfer(from: &str, to: Address, nonce: u64) -> Cause {
    let signer = FileSigner::new(dev::key(&from.parse().unwrap()).unwrap());
    let address = signer.public().address();
    let transaction = Transaction::new(TransactionFields {
        sender: if nonce == 0 { Sender::Key(signer.public().clone()) } else { Sender::Address(address) },
        nonce,
        fee: Mites::new(3),
        valid_until: None,
        outputs: vec![Output { to, amount: Mites::new(2) }],
        memo: Vec::new(),
    });
    Cause::Transfer(Box::new(signer.sign(transaction.unwrap(), network().genesis_id()).unwrap()))
}

fn allocation() -> u64 {
    let address = alice().public().address();
    network().allocations.iter().find(|one| one.address == address).unwrap().amount.get()
}

#[test]
fn heights_that_fall_and_rewards_before_they_are_due_are_refused() {
    let bob = Address::from_bytes([4; 32]);
    let two = |first: u64, second: u64| {
        let causes = vec![(first, transfer("alice", bob, 0)), (second, transfer("alice", bob, 1))];
        let (account, entries) = linked(allocation() - 10, 2, causes);
        walk(&account, &entries)
    };
    assert_eq!(two(7, 7).unwrap().len(), 2);
    assert!(matches!(two(7, 6), Err(VerifyError::EntryHeight { entry: 1, .. })));
    let reward = |height: u64| {
        let (account, entries) = linked(allocation() + 7, 0, vec![(height, Cause::Reward(Mites::new(7)))]);
        walk(&account, &entries)
    };
    // On the development network a reward is due in its own block, which is 5.
    assert_eq!(reward(5).unwrap().len(), 1);
    assert!(matches!(reward(4), Err(VerifyError::EntryHeight { entry: 1, .. })));
}

#[test]
fn a_transfer_between_others_is_no_entry() {
    let (account, entries) = linked(allocation(), 0, vec![(7, transfer("bob", Address::from_bytes([4; 32]), 0))]);
    assert!(matches!(walk(&account, &entries), Err(VerifyError::ForeignEntry { entry: 1 })));
}

#[test]
fn the_accounts_own_transfers_count_without_gaps_up_to_the_next_nonce() {
    let bob = Address::from_bytes([4; 32]);
    let paid = |next_nonce: u64, nonces: &[u64]| {
        let causes = nonces.iter().map(|nonce| (7, transfer("alice", bob, *nonce))).collect();
        let (account, entries) = linked(allocation() - 5 * nonces.len() as u64, next_nonce, causes);
        walk(&account, &entries)
    };
    assert_eq!(paid(2, &[0, 1]).unwrap()[0].paid_nonce(&alice().public().address()), Some(1));
    for (next_nonce, nonces) in
        [(2, &[1, 0][..]), (3, &[0, 2]), (3, &[0, 1]), (2, &[1]), (1, &[0, 1]), (0, &[0]), (1, &[])]
    {
        let error = paid(next_nonce, nonces).unwrap_err();
        assert!(matches!(error, VerifyError::NonceOrder { .. }), "{next_nonce} {nonces:?}: {error}");
    }
}
