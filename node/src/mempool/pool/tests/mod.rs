//! The pool's rules, one test each, on transfers whose signatures nobody looks at.

mod least_fee;
mod prices;
mod withdraw;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use farthing::{
    Account, Address, Block, BlockId, Coinbase, Height, Mites, Network, Output, PublicKey, Sender, Signature,
    SignedTransaction, TimeMs, Transaction, TxId, tx::TransactionFields,
};
use farthing_consensus::AccountView;

use super::{BlockBody, Candidate, Now, Pool};
use crate::{
    mempool::{Admitted, Confirmed, DropReason, PoolLimits, PoolStatus, Rejection, Source, TemplateLimits},
    testing::{ALICE, dev},
};

/// A confirmed state.
#[derive(Debug, Clone, Default)]
pub(super) struct View {
    pub(super) accounts: BTreeMap<Address, Account>,
    pub(super) height: Height,
}

impl AccountView for View {
    fn account(&self, address: &Address) -> Option<Account> {
        self.accounts.get(address).copied()
    }
}

impl Confirmed for View {
    fn height(&self) -> Height {
        self.height
    }

    fn tip(&self) -> BlockId {
        *Network::Dev.params().genesis_id()
    }
}

/// A well-formed key that nobody can sign with.
pub(super) fn key(n: u8) -> PublicKey {
    let mut spki = ALICE.public.as_spki().to_vec();
    spki[40] = n;
    PublicKey::from_spki(&spki).unwrap()
}

pub(super) fn address(n: u8) -> Address {
    key(n).address()
}

/// An address that no test funds.
pub(super) fn stranger(n: u8) -> Address {
    Address::from_bytes([n; 32])
}

/// A transfer in the making.
#[derive(Debug, Clone)]
pub(super) struct Spend {
    pub(super) from: u8,
    pub(super) nonce: u64,
    pub(super) fee: u64,
    pub(super) to: Address,
    pub(super) amount: u64,
    pub(super) valid_until: Option<u64>,
    pub(super) memo: usize,
}

impl Spend {
    pub(super) fn new(from: u8, nonce: u64, fee: u64) -> Self {
        Self { from, nonce, fee, to: address(1), amount: 1_000, valid_until: None, memo: 0 }
    }

    pub(super) fn signed(&self) -> SignedTransaction {
        let sender = if self.nonce == 0 { Sender::Key(key(self.from)) } else { Sender::Address(address(self.from)) };
        let transaction = Transaction::new(TransactionFields {
            sender,
            nonce: self.nonce,
            fee: Mites::new(self.fee),
            valid_until: self.valid_until.map(Height::new),
            outputs: vec![Output { to: self.to, amount: Mites::new(self.amount) }],
            memo: vec![0; self.memo],
        });
        SignedTransaction::new(transaction.unwrap(), Signature::from_bytes(&[1; 256]).unwrap()).unwrap()
    }

    pub(super) fn id(&self) -> TxId {
        self.signed().transaction().id(Network::Dev.params().genesis_id())
    }
}

pub(super) fn at(seconds: u64) -> Now {
    Now { wall: TimeMs::new(seconds * 1_000), elapsed: Duration::from_secs(seconds) }
}

pub(super) fn candidate(spend: &Spend, source: Source) -> Candidate {
    Candidate { transaction: spend.signed(), id: spend.id(), received: TimeMs::new(0), source }
}

pub(super) fn block_of(height: Height, transactions: Vec<SignedTransaction>) -> (Block, Vec<TxId>) {
    let genesis = Network::Dev.params().genesis();
    let ids = transactions.iter().map(|t| t.transaction().id(Network::Dev.params().genesis_id())).collect();
    let coinbase = Coinbase { height, to: stranger(0xcb), amount: Mites::ZERO, tag: Vec::new() };
    (Block { header: genesis.header, coinbase, transactions }, ids)
}

/// Accounts 1 to 5 with so much each.
pub(super) fn funded(balance: u64) -> View {
    let account = |n| (address(n), Account::with_balance(Mites::new(balance)));
    View { accounts: (1..=5).map(account).collect(), height: Height::new(10) }
}

struct Fixture {
    pool: Pool,
    view: View,
}

impl Fixture {
    fn new(limits: PoolLimits) -> Self {
        let view = funded(1_000_000_000);
        Self { pool: Pool::new(dev(), limits, Arc::new(view.clone())), view }
    }

    fn admit(&mut self, spend: &Spend) -> Result<PoolStatus, Rejection> {
        let verdict = self.pool.admit(candidate(spend, Source::Rpc), at(0));
        self.pool.check_indexes();
        verdict.map(|Admitted { status, .. }| status)
    }

    fn status(&self, spend: &Spend) -> Option<PoolStatus> {
        self.pool.status(&spend.id())
    }

    fn dropped(&self, spend: &Spend) -> Option<DropReason> {
        match self.status(spend) {
            Some(PoolStatus::Dropped { reason, .. }) => Some(reason),
            _ => None,
        }
    }

    /// Mines a block of these: the senders pay, nobody receives.
    fn mine(&mut self, spends: &[Spend]) -> Block {
        for spend in spends {
            let account = self.view.accounts.get_mut(&address(spend.from)).unwrap();
            account.next_nonce += 1;
            account.balance = Mites::new(account.balance.get() - spend.fee - spend.amount);
        }
        self.view.height = self.view.height.next();
        let (block, tx_ids) = block_of(self.view.height, spends.iter().map(Spend::signed).collect());
        let body = BlockBody { block: &block, tx_ids: &tx_ids };
        self.pool.advance(Arc::new(self.view.clone()), &[], &[body], at(0));
        self.pool.check_indexes();
        block
    }
}

const LIMITS: TemplateLimits = TemplateLimits {
    height: Height::new(11),
    bytes: 1 << 20,
    signature_units: 10_000,
    openings: 10_000,
    count: 10_000,
};

#[test]
fn a_chain_of_nonces_is_pending_and_a_gap_waits_until_it_is_closed() {
    let mut fixture = Fixture::new(PoolLimits::default());
    assert_eq!(fixture.admit(&Spend::new(1, 0, 100_000)), Ok(PoolStatus::Pending));
    assert_eq!(fixture.admit(&Spend::new(1, 2, 100_000)), Ok(PoolStatus::Queued));
    assert_eq!(fixture.pool.account_pending(&address(1)).next_nonce, 1);
    assert_eq!(fixture.admit(&Spend::new(1, 1, 100_000)), Ok(PoolStatus::Pending));
    assert_eq!(fixture.status(&Spend::new(1, 2, 100_000)), Some(PoolStatus::Pending));
    assert_eq!(fixture.pool.account_pending(&address(1)).next_nonce, 3);
    assert_eq!(fixture.pool.account_pending(&address(1)).outgoing, Mites::new(303_000));
    assert_eq!(fixture.pool.account_pending(&address(1)).incoming, Mites::new(3_000));
    assert_eq!(fixture.pool.take_events().announced.len(), 3);
}

#[test]
fn the_same_transfer_again_gets_its_present_status_and_changes_nothing() {
    let mut fixture = Fixture::new(PoolLimits::default());
    let spend = Spend::new(1, 0, 100_000);
    fixture.admit(&spend).unwrap();
    fixture.pool.take_events();
    assert_eq!(fixture.admit(&spend), Ok(PoolStatus::Pending));
    let events = fixture.pool.take_events();
    assert!(events.changes.is_empty() && events.announced.is_empty());
}

#[test]
fn each_refusal_names_its_cause_and_what_would_do() {
    let mut fixture = Fixture::new(PoolLimits::default());
    fixture.view.accounts.get_mut(&address(2)).unwrap().next_nonce = 7;
    fixture.pool.advance(Arc::new(fixture.view.clone()), &[], &[], at(0));
    fixture.pool.check_indexes();

    let low = fixture.admit(&Spend::new(2, 6, 100_000));
    assert_eq!(low, Err(Rejection::NonceTooLow { nonce: 6, expected_nonce: 7 }));

    let size = Spend::new(1, 0, 1).signed().size_bytes() as u64;
    let cheap = fixture.admit(&Spend::new(1, 0, size * 100 - 1));
    assert_eq!(cheap, Err(Rejection::FeeTooLow { fee: Mites::new(size * 100 - 1), required: Mites::new(size * 100) }));
    assert_eq!(fixture.admit(&Spend::new(1, 0, size * 100)), Ok(PoolStatus::Pending));

    let opening = Spend { to: stranger(1), ..Spend::new(3, 0, 10_000_000) };
    let required = Mites::new(10_000_000 + size * 100);
    assert_eq!(fixture.admit(&opening), Err(Rejection::FeeTooLow { fee: Mites::new(10_000_000), required }));

    let poor = Spend { amount: 2_000_000_000, ..Spend::new(3, 0, 100_000) };
    let available = Mites::new(1_000_000_000);
    assert_eq!(
        fixture.admit(&poor),
        Err(Rejection::InsufficientBalance { needed: Mites::new(2_000_100_000), available })
    );

    let keyless = fixture.admit(&Spend::new(3, 1, 100_000));
    assert_eq!(keyless, Err(Rejection::KeyUnknown { address: address(3) }));

    let late = Spend { valid_until: Some(12), ..Spend::new(3, 0, 100_000) };
    let required = Height::new(13);
    assert_eq!(fixture.admit(&late), Err(Rejection::ExpiresTooSoon { valid_until: Height::new(12), required }));
}

#[test]
fn the_whole_chain_of_an_account_must_be_within_its_balance() {
    let mut fixture = Fixture::new(PoolLimits::default());
    let large = |nonce| Spend { amount: 400_000_000, ..Spend::new(1, nonce, 100_000) };
    assert!(fixture.admit(&large(0)).is_ok() && fixture.admit(&large(1)).is_ok());
    let needed = Mites::new(3 * 400_100_000);
    let available = Mites::new(1_000_000_000);
    assert_eq!(fixture.admit(&large(2)), Err(Rejection::InsufficientBalance { needed, available }));
}

#[test]
fn a_replacement_pays_for_what_it_displaces_and_for_the_bytes_of_both() {
    let mut fixture = Fixture::new(PoolLimits::default());
    let old = Spend::new(1, 0, 100_000);
    fixture.admit(&old).unwrap();
    let bytes = old.signed().size_bytes() as u64;
    let required = 100_000 + 2 * bytes * 100;
    let short = Spend::new(1, 0, required - 1);
    assert_eq!(
        fixture.admit(&short),
        Err(Rejection::ReplacementUnderpaid {
            fee: Mites::new(required - 1),
            required: Mites::new(required),
            waiting: old.id()
        })
    );
    let new = Spend::new(1, 0, required);
    assert_eq!(fixture.admit(&new), Ok(PoolStatus::Pending));
    assert_eq!(fixture.dropped(&old), Some(DropReason::Replaced { by: new.id() }));
}

#[test]
fn a_replacement_that_leaves_followers_unpaid_pays_for_them_too() {
    let mut fixture = Fixture::new(PoolLimits::default());
    let spends: Vec<Spend> =
        (0..3).map(|nonce| Spend { amount: 300_000_000, ..Spend::new(1, nonce, 100_000) }).collect();
    for spend in &spends {
        fixture.admit(spend).unwrap();
    }
    // With this one the account can pay nonce 1 but not nonce 2 any more.
    let greedy = |fee| Spend { amount: 500_000_000, ..Spend::new(1, 0, fee) };
    let bytes: usize = [&spends[0], &spends[2], &greedy(1)].map(|spend| spend.signed().size_bytes()).iter().sum();
    let required = 200_000 + bytes as u64 * 100;
    assert!(matches!(fixture.admit(&greedy(required - 1)), Err(Rejection::ReplacementUnderpaid { .. })));
    assert_eq!(fixture.admit(&greedy(required)), Ok(PoolStatus::Pending));
    assert_eq!(fixture.status(&spends[1]), Some(PoolStatus::Pending));
    assert_eq!(fixture.dropped(&spends[2]), Some(DropReason::Replaced { by: greedy(required).id() }));
}

#[test]
fn gapped_ones_are_bounded_per_account_in_bytes_and_in_time() {
    let mut fixture = Fixture::new(PoolLimits { queued_bytes: 2_000, ..PoolLimits::default() });
    fixture.admit(&Spend::new(1, 0, 100_000)).unwrap();
    let mut taken = 0;
    for nonce in 2..40 {
        match fixture.admit(&Spend::new(1, nonce, 100_000)) {
            Ok(status) => {
                assert_eq!(status, PoolStatus::Queued);
                taken += 1;
            }
            Err(rejection) => assert_eq!(rejection, Rejection::TooManyQueued { nonce, expected_nonce: 1 }),
        }
    }
    assert_eq!(taken, 2_000 / Spend::new(1, 2, 0).signed().size_bytes());
    fixture.pool.tick(at(299));
    assert_eq!(fixture.status(&Spend::new(1, 2, 100_000)), Some(PoolStatus::Queued));
    fixture.pool.tick(at(300));
    assert_eq!(fixture.dropped(&Spend::new(1, 2, 100_000)), Some(DropReason::GapTimeout));
    assert_eq!(fixture.pool.stats().queued, 0);

    let mut fixture = Fixture::new(PoolLimits::default());
    fixture.admit(&Spend::new(1, 0, 100_000)).unwrap();
    let taken = (2..40).filter(|nonce| fixture.admit(&Spend::new(1, *nonce, 100_000)).is_ok()).count();
    assert_eq!(taken, 16);
}

#[test]
fn a_full_pool_lets_go_of_the_cheapest_tails_for_better_ones_only() {
    let size = Spend::new(1, 0, 1).signed().size_bytes();
    let mut fixture = Fixture::new(PoolLimits { bytes: 3 * size, ..PoolLimits::default() });
    let (cheap, middle, dear) = (Spend::new(1, 0, 70_000), Spend::new(2, 0, 80_000), Spend::new(3, 0, 90_000));
    for spend in [&cheap, &middle, &dear] {
        fixture.admit(spend).unwrap();
    }
    let equal = Spend::new(4, 0, 70_000);
    assert_eq!(fixture.admit(&equal), Err(Rejection::PoolFull { required: Mites::new(70_001) }));
    let better = Spend::new(4, 0, 70_001);
    assert_eq!(fixture.admit(&better), Ok(PoolStatus::Pending));
    assert_eq!(fixture.dropped(&cheap), Some(DropReason::Evicted));
    assert_eq!(fixture.pool.stats().bytes, 3 * size);
    // A gapped one never makes an executable one go.
    let gapped = Spend::new(4, 2, 100_000_000);
    assert!(matches!(fixture.admit(&gapped), Err(Rejection::PoolFull { .. } | Rejection::TooManyQueued { .. })));
}

#[test]
fn a_dear_tail_does_not_shelter_cheap_ones_before_it() {
    let size = Spend::new(1, 0, 1).signed().size_bytes();
    let later = Spend::new(1, 1, 1).signed().size_bytes();
    let mut fixture = Fixture::new(PoolLimits { bytes: size + later, ..PoolLimits::default() });
    fixture.admit(&Spend::new(1, 0, 70_000)).unwrap();
    fixture.admit(&Spend::new(1, 1, 900_000)).unwrap();
    assert_eq!(fixture.admit(&Spend::new(2, 0, 80_000)), Ok(PoolStatus::Pending));
    assert_eq!(fixture.dropped(&Spend::new(1, 0, 70_000)), Some(DropReason::Evicted));
    assert_eq!(fixture.dropped(&Spend::new(1, 1, 900_000)), Some(DropReason::Evicted));
}

#[test]
fn an_account_has_so_many_places_and_no_more() {
    let mut fixture = Fixture::new(PoolLimits { executable_per_account: 3, ..PoolLimits::default() });
    for nonce in 0..3 {
        fixture.admit(&Spend::new(1, nonce, 100_000)).unwrap();
    }
    assert_eq!(fixture.admit(&Spend::new(1, 3, 100_000)), Err(Rejection::AccountFull { limit: 3 }));
    fixture.mine(&[Spend::new(1, 0, 100_000)]);
    assert_eq!(fixture.admit(&Spend::new(1, 3, 100_000)), Ok(PoolStatus::Pending));
}

#[test]
fn templates_take_the_best_rate_first_and_nonces_in_order() {
    let mut fixture = Fixture::new(PoolLimits::default());
    let spends = [
        Spend::new(1, 0, 100_000),
        Spend::new(1, 1, 900_000),
        Spend::new(2, 0, 300_000),
        Spend::new(3, 0, 200_000),
        Spend { to: stranger(9), ..Spend::new(4, 0, 10_250_000) },
    ];
    for spend in &spends {
        fixture.admit(spend).unwrap();
    }
    let order = |fixture: &Fixture, limits: &TemplateLimits| -> Vec<TxId> {
        fixture.pool.select(limits).iter().map(|pooled| pooled.id).collect()
    };
    let expected = [2, 4, 3, 0, 1].map(|at: usize| spends[at].id());
    assert_eq!(order(&fixture, &LIMITS), expected);
    assert_eq!(order(&fixture, &TemplateLimits { count: 2, ..LIMITS }), expected[..2]);
    assert_eq!(order(&fixture, &TemplateLimits { signature_units: 3, ..LIMITS }), expected[..3]);
    let without_opening = [expected[0], expected[2], expected[3], expected[4]];
    assert_eq!(order(&fixture, &TemplateLimits { openings: 0, ..LIMITS }), without_opening);
}

#[test]
fn what_is_mined_leaves_and_its_rival_is_dropped_for_that() {
    let mut fixture = Fixture::new(PoolLimits::default());
    let (mine, rival, next) = (Spend::new(1, 0, 100_000), Spend::new(2, 0, 100_000), Spend::new(2, 1, 100_000));
    for spend in [&mine, &rival, &next] {
        fixture.admit(spend).unwrap();
    }
    fixture.mine(&[mine.clone(), Spend::new(2, 0, 500_000)]);
    assert_eq!(fixture.status(&mine), None);
    assert_eq!(fixture.dropped(&rival), Some(DropReason::NonceUsed));
    assert_eq!(fixture.status(&next), Some(PoolStatus::Pending));
}

#[test]
fn what_a_reorg_undoes_is_pending_again_before_what_followed_it() {
    let mut fixture = Fixture::new(PoolLimits::default());
    let before = fixture.view.clone();
    let (first, second) = (Spend::new(1, 0, 0), Spend::new(1, 1, 100_000));
    fixture.admit(&Spend::new(2, 0, 100_000)).unwrap();
    let block = fixture.mine(std::slice::from_ref(&first));
    fixture.admit(&second).unwrap();
    let (_, tx_ids) = block_of(Height::new(11), block.transactions.clone());
    fixture.pool.take_events();
    fixture.pool.advance(Arc::new(before), &[BlockBody { block: &block, tx_ids: &tx_ids }], &[], at(1));
    fixture.pool.check_indexes();
    // It paid no fee at all, as a miner's own may: it was taken once, so it is held only to what a block demands.
    assert_eq!(fixture.status(&first), Some(PoolStatus::Pending));
    assert_eq!(fixture.status(&second), Some(PoolStatus::Pending));
    assert_eq!(fixture.pool.get(&first.id()).unwrap().source(), Source::Reorg);
    assert_eq!(fixture.pool.take_events().changes.len(), 1);
}

#[test]
fn money_that_a_reorg_takes_away_makes_its_spender_wait_for_it() {
    let mut fixture = Fixture::new(PoolLimits::default());
    let spend = Spend { amount: 900_000_000, ..Spend::new(1, 0, 100_000) };
    fixture.admit(&spend).unwrap();
    let rich = fixture.view.clone();
    fixture.view.accounts.get_mut(&address(1)).unwrap().balance = Mites::new(5);
    let (undone, tx_ids) = block_of(Height::new(10), Vec::new());
    fixture.pool.advance(Arc::new(fixture.view.clone()), &[BlockBody { block: &undone, tx_ids: &tx_ids }], &[], at(1));
    fixture.pool.check_indexes();
    assert_eq!(fixture.status(&spend), Some(PoolStatus::Queued));
    fixture.pool.advance(Arc::new(rich), &[], &[], at(2));
    fixture.pool.check_indexes();
    assert_eq!(fixture.status(&spend), Some(PoolStatus::Pending));
}

#[test]
fn what_can_no_longer_be_mined_expires() {
    let mut fixture = Fixture::new(PoolLimits::default());
    let spend = Spend { valid_until: Some(13), ..Spend::new(1, 0, 100_000) };
    let follower = Spend::new(1, 1, 100_000);
    fixture.admit(&spend).unwrap();
    fixture.admit(&follower).unwrap();
    fixture.mine(&[]);
    fixture.mine(&[]);
    assert_eq!(fixture.status(&spend), Some(PoolStatus::Pending));
    fixture.mine(&[]);
    assert_eq!(fixture.dropped(&spend), Some(DropReason::Expired));
    assert_eq!(fixture.status(&follower), Some(PoolStatus::Queued));
}

#[test]
fn an_account_that_another_block_opened_costs_nothing_more() {
    let mut fixture = Fixture::new(PoolLimits::default());
    let spend = Spend { to: stranger(1), ..Spend::new(1, 0, 10_100_000) };
    fixture.admit(&spend).unwrap();
    assert_eq!(fixture.pool.stats().net_fees, Mites::new(100_000));
    fixture.view.accounts.insert(stranger(1), Account::default());
    fixture.mine(&[]);
    assert_eq!(fixture.pool.stats().net_fees, Mites::new(10_100_000));
}

#[test]
fn garbage_attached_to_a_transfer_condemns_its_wire_id_and_never_its_id() {
    let mut fixture = Fixture::new(PoolLimits::default());
    let good = Spend::new(1, 0, 100_000).signed();
    let garbage =
        SignedTransaction::new(good.transaction().clone(), Signature::from_bytes(&[2; 256]).unwrap()).unwrap();
    let bad = Rejection::BadSignature(farthing::keys::SignatureError::Mismatch);
    fixture.pool.remember_rejected(garbage.wire_id(), &bad);
    assert!(!fixture.pool.is_wanted(&garbage.wire_id()));
    assert!(fixture.pool.is_wanted(&good.wire_id()));
    assert_eq!(fixture.admit(&Spend::new(1, 0, 100_000)), Ok(PoolStatus::Pending));
    fixture.mine(&[]);
    assert!(!fixture.pool.is_wanted(&garbage.wire_id()), "no tip can make a bad signature good");
}

#[test]
fn refusals_that_the_next_tip_may_heal_are_forgotten_then() {
    let mut fixture = Fixture::new(PoolLimits::default());
    let spend = Spend::new(1, 0, 1);
    let rejection = fixture.admit(&spend).unwrap_err();
    fixture.pool.remember_rejected(spend.signed().wire_id(), &rejection);
    assert!(!fixture.pool.is_wanted(&spend.signed().wire_id()));
    fixture.mine(&[]);
    assert!(fixture.pool.is_wanted(&spend.signed().wire_id()));
}

#[test]
fn a_gapped_one_is_not_replaced_by_one_that_is_too_large_for_its_share_of_the_pool() {
    let small = Spend::new(1, 2, 100_000);
    let size = small.signed().size_bytes();
    let mut fixture = Fixture::new(PoolLimits { queued_bytes: size + 100, ..PoolLimits::default() });
    fixture.admit(&Spend::new(1, 0, 100_000)).unwrap();
    fixture.admit(&small).unwrap();
    let large = |memo| Spend { memo, ..Spend::new(1, 2, 900_000) };
    assert_eq!(fixture.admit(&large(101)), Err(Rejection::TooManyQueued { nonce: 2, expected_nonce: 1 }));
    assert_eq!(fixture.admit(&large(100)), Ok(PoolStatus::Queued));
}
