//! What the fake node knows: one account, its transfers and a chain; and what it does wrong on request.

use std::{
    collections::BTreeMap,
    sync::{Arc, mpsc},
};

use farthing::{
    Account, Address, BlockId, EntryId, Hash, Header, Height, Mites, Params, SignedTransaction, Transaction,
    TransactionProof, TxId,
    account::accounts_root,
    codec::Canonical as _,
    hash::sha256,
    merkle::{tx_path, tx_root},
    proof::AccountProof,
    wire::{AnchoredProof, TransactionStanding, TransactionStatus},
};
use tonic::Code;

use crate::{fake_chain::FakeChain, fake_streams::Readers};

/// What the node does wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Behaviour {
    /// Nothing.
    Honest,
    /// States a higher balance than it can prove.
    Boasts,
    /// Refuses every transfer, with this code and reason.
    Refuses(Code, &'static str),
    /// Takes a transfer and says that it does not, with this code and reason.
    TakesAndRefuses(Code, &'static str),
    /// Takes a transfer and dies before it answers: all connections end.
    LosesAnswers,
    /// Says that a transfer is mined that is not.
    PretendsToMine,
    /// Takes a transfer and drops it at once, for this reason.
    Drops(&'static str),
    /// Dies whenever it is asked for an account or a transaction.
    DiesWhenAsked,
    /// Refuses the second page of every history once, as after a reorganisation.
    LosesPages,
    /// States and proves a higher balance than the header commits to.
    ForgesTheProof,
    /// Says that the account does not exist, with somebody else's leaf.
    ForgesAbsence,
    /// Proves the account against a block that it mined beside the chain.
    SwapsTheHeader,
    /// States its blocks one higher than they are.
    StatesAnotherHeight,
    /// Leaves out the newest entry of a history.
    HidesThePayment,
    /// Ends a history before its oldest entry.
    CutsTheHistory,
    /// Swaps two entries of a history.
    SwapsEntries,
    /// States another height in an entry of a history.
    AltersAnEntry,
    /// Leaves a sampled header out of the proof of its work.
    OmitsASample,
    /// Shows fewer samples than the proof of its work must have.
    TakesFewerSamples,
    /// Claims more work in the proof than was done.
    ClaimsMoreWork,
    /// Mines a block between the parts of a receipt.
    MinesMeanwhile,
    /// Says that a transfer stands elsewhere in its block.
    MovesATransfer,
    /// Shows a header of long ago among the new ones.
    ForgesAHeader,
    /// Mines a block behind each answer about an account.
    MinesBetween,
    /// Counts more blocks above a transfer's than there are.
    CountsTooMany,
    /// Keeps no index of transactions: knows only what waits.
    KeepsNoIndex,
}

/// What could clear a screen and write its own.
pub(crate) const PAINT: &str = "\u{1b}[2J\u{1b}[Hmined";

pub(crate) struct State {
    pub(crate) behaviour: Behaviour,
    /// Whether a transfer is mined as soon as it is submitted.
    pub(crate) mines: bool,
    pub(super) params: &'static Params,
    pub(super) address: Address,
    pub(super) account: Account,
    /// The chain that it shows.
    pub(crate) chain: FakeChain,
    /// The account after each block, from genesis on.
    pub(super) accounts: Vec<Account>,
    /// Serves as if its tip were here.
    pub(crate) shown: Option<u64>,
    /// What the next blocks are marked with.
    pub(crate) mark: u64,
    pub(super) pool: Vec<SignedTransaction>,
    /// Leaves of each block's tree.
    leaves: BTreeMap<u64, Vec<Hash>>,
    /// A header that was never on the chain, at its height.
    slipped: Option<(u64, Header)>,
    pub(super) mined: Vec<(SignedTransaction, u64, Hash)>,
    pub(super) dropped: Vec<(SignedTransaction, &'static str)>,
    pub(super) connections: Vec<std::net::TcpStream>,
    /// Told of the next death.
    pub(super) mourner: Option<mpsc::Sender<()>>,
    pub(crate) submissions: usize,
    /// How often the proof of its work was asked for.
    pub(crate) chain_proofs: usize,
    /// Whether it says that it is still fetching blocks.
    pub(crate) syncing: bool,
    /// Whether it says that it mines.
    pub(crate) mining: bool,
    /// The clock that it tells, in milliseconds, if it tells one.
    pub(crate) clock: Option<u64>,
    /// Its version.
    pub(crate) version: &'static str,
    /// Its price, in mites a byte.
    pub(crate) rate: u64,
    /// Whether it has streams.
    pub(crate) streams: bool,
    pub(crate) readers: Readers,
    /// How often it was asked for an account.
    pub(crate) account_questions: usize,
}

impl State {
    /// Tells this machine's time.
    pub(crate) fn clock_is_right(&mut self) {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        self.clock = u64::try_from(now.as_millis()).ok();
    }

    /// Genesis alone.
    pub(super) fn new(params: &'static Params, address: Address, far: u64) -> Self {
        // Its history begins with an allocation, as the wallet knows it from the network's parameters.
        let allocation = params.allocations.iter().find(|one| one.address == address);
        let balance = allocation.map_or(Mites::from_far(far).unwrap(), |one| one.amount);
        let account = Account::with_balance(balance);
        Self {
            behaviour: Behaviour::Honest,
            mines: true,
            params,
            address,
            account,
            chain: FakeChain::new(Arc::new(params.clone())),
            accounts: vec![account],
            shown: None,
            mark: 0,
            pool: Vec::new(),
            leaves: BTreeMap::new(),
            slipped: None,
            mined: Vec::new(),
            dropped: Vec::new(),
            connections: Vec::new(),
            mourner: None,
            submissions: 0,
            chain_proofs: 0,
            syncing: false,
            mining: true,
            clock: None,
            version: "fake-node/1",
            rate: 100,
            streams: false,
            readers: Readers::default(),
            account_questions: 0,
        }
    }

    /// Height of the tip that it shows.
    pub(super) fn height(&self) -> u64 {
        self.shown.unwrap_or_else(|| self.chain.height())
    }

    /// The account at the tip that it shows.
    pub(super) fn shown_account(&self) -> Account {
        self.accounts[usize::try_from(self.height()).unwrap()]
    }

    pub(super) fn tip(&self) -> AnchoredProof {
        let mut account = self.shown_account();
        let mut chain = self.chain.clone();
        let mut leaf = self.address;
        match self.behaviour {
            Behaviour::ForgesTheProof => account.balance = account.balance.checked_add(Mites::new(1)).unwrap(),
            Behaviour::ForgesAbsence => leaf = Address::from_bytes([7; 32]),
            Behaviour::SwapsTheHeader => {
                chain.truncate(self.height() - 1);
                account.balance = account.balance.checked_add(Mites::new(1)).unwrap();
                chain.grow(accounts_root(&[(leaf, account)]), 666);
            }
            _ => {}
        }
        let height = self.height();
        let range = chain.range(height);
        let chain_root = range.map_or(Hash::ZERO, |range| range.chain_root());
        let proof = AccountProof { leaf: Some((leaf, account)), steps: Vec::new() };
        AnchoredProof { header: *chain.header(height), height: Height::new(height), chain_root, range, proof }
    }

    /// Goes back to an earlier block, to mine on from there.
    pub(crate) fn go_back_to(&mut self, height: u64) {
        self.chain.truncate(height);
        self.accounts.truncate(usize::try_from(height + 1).unwrap());
        self.account = self.accounts[self.accounts.len() - 1];
        self.mined.retain(|(_, mined, _)| *mined <= height);
        self.readers = Readers::default();
    }

    /// Shows a chain of so many blocks from another first block.
    pub(crate) fn begin_elsewhere(&mut self, blocks: usize) {
        let mut first = *self.chain.header(0);
        first.nonce += 1;
        while !first.has_work() {
            first.nonce += 1;
        }
        self.chain = FakeChain::from(Arc::new(self.params.clone()), first);
        self.accounts.truncate(1);
        self.mine_many(blocks);
    }

    /// Mines that many blocks.
    pub(crate) fn mine_many(&mut self, blocks: usize) {
        (0..blocks).for_each(|_| self.mine());
    }

    /// Loses what was not mined, as no honest node does.
    pub(crate) fn forget(&mut self) {
        self.pool.clear();
        self.dropped.clear();
    }

    /// Takes back into the pool what it dropped: what another node would still hold.
    pub(crate) fn revive(&mut self) {
        self.pool.extend(self.dropped.drain(..).map(|(transfer, _)| transfer));
    }

    pub(super) fn maybe_die(&mut self) {
        if self.behaviour == Behaviour::DiesWhenAsked {
            self.cut();
        }
    }

    /// Ends all streams, and leaves the connections.
    pub(crate) fn hang_up(&mut self) {
        self.readers = Readers::default();
    }

    /// Ends all connections, as a node that is killed does.
    pub(super) fn cut(&mut self) {
        self.readers = Readers::default();
        for connection in self.connections.drain(..) {
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
        if let Some(mourner) = self.mourner.take() {
            let _ = mourner.send(());
        }
    }

    /// Hears of somebody else's transfer.
    pub(crate) fn arrives(&mut self, transfer: SignedTransaction) {
        self.tell_of_the_transfer(&transfer);
        self.pool.push(transfer);
    }

    /// Where the account's waiting transfer with that nonce is in the pool.
    fn waiting_at(&self, transaction: &Transaction) -> Option<usize> {
        let place = |one: &Transaction| (one.sender_address(), one.nonce());
        self.pool.iter().position(|waiting| place(waiting.transaction()) == place(transaction))
    }

    /// The fee for which this one takes the place of what waits, as nodes reckon it.
    pub(super) fn required_fee(&self, transaction: &Transaction) -> u64 {
        let size = |one: &Transaction| one.to_canonical().len() as u64 + 260;
        let rate = |bytes: u64| bytes * 100;
        let opening = |one: &Transaction| {
            let new = one.outputs().iter().filter(|output| output.to != self.address).count();
            self.params.opening_cost.get() * new as u64
        };
        let alone = rate(size(transaction)) + opening(transaction);
        self.waiting_at(transaction).map_or(alone, |at| {
            let waiting = self.pool[at].transaction();
            alone + waiting.fee().get() - opening(waiting) + rate(size(waiting))
        })
    }

    /// Takes a transfer that it does not know, or tells why not; with the fee that would do.
    pub(super) fn take(&mut self, transfer: SignedTransaction) -> Result<(), (&'static str, u64)> {
        let transaction = transfer.transaction();
        let required = self.required_fee(transaction);
        if transaction.sender_address() == self.address && transaction.nonce() < self.account.next_nonce {
            return Err(("NONCE_TOO_LOW", required));
        }
        match self.waiting_at(transaction) {
            Some(_) if transaction.fee().get() < required => return Err(("REPLACEMENT_UNDERPAID", required)),
            Some(at) => self.dropped.push((std::mem::replace(&mut self.pool[at], transfer), "REPLACED")),
            None => self.pool.push(transfer),
        }
        Ok(())
    }

    /// Mines what was replaced instead of what replaced it, as a node may that did not hear of that.
    pub(crate) fn mine_the_replaced(&mut self) {
        let dropped = std::mem::take(&mut self.dropped);
        for (transfer, _) in dropped {
            let at = self.waiting_at(transfer.transaction()).unwrap();
            let newer = std::mem::replace(&mut self.pool[at], transfer);
            self.dropped.push((newer, "NONCE_USED"));
        }
        self.mine();
    }

    /// A transfer that waits or is mined.
    pub(super) fn find(&self, id: &TxId) -> Option<SignedTransaction> {
        let mined = self.mined.iter().map(|(transfer, _, _)| transfer);
        self.pool.iter().chain(mined).find(|one| one.transaction().id(self.params.genesis_id()) == *id).cloned()
    }

    /// All amounts that its blocks pay, in mites.
    pub(crate) fn paid(&self) -> Vec<u64> {
        let transfers = self.mined.iter().map(|(transfer, _, _)| transfer.transaction());
        transfers.flat_map(|transfer| transfer.outputs()).map(|output| output.amount.get()).collect()
    }

    /// What waits in its pool: how many transfers of the account, what they take from it, and what others bring it.
    pub(super) fn waiting(&self) -> (u64, u64, u64) {
        let (own, others): (Vec<_>, Vec<_>) =
            self.pool.iter().map(SignedTransaction::transaction).partition(|one| one.sender_address() == self.address);
        let brought = others.iter().flat_map(|one| one.outputs()).filter(|output| output.to == self.address);
        let brought = brought.map(|output| output.amount.get()).sum();
        (own.len() as u64, own.iter().map(|one| one.total().get()).sum(), brought)
    }

    pub(crate) fn mine(&mut self) {
        let height = self.chain.height() + 1;
        let mut leaves = vec![Hash::from_bytes(sha256(&[&self.mark.to_le_bytes()]))];
        for transfer in std::mem::take(&mut self.pool) {
            leaves.push(Hash::from_bytes(transfer.wire_id().to_bytes()));
            let transaction = transfer.transaction();
            let back = transaction.outputs().iter().filter(|output| output.to == self.address);
            let back = Mites::checked_sum(back.map(|output| output.amount)).unwrap();
            if transaction.sender_address() == self.address {
                self.account.balance = self.account.balance.checked_sub(transaction.total()).unwrap();
                self.account.next_nonce += 1;
            }
            self.account.balance = self.account.balance.checked_add(back).unwrap();
            self.account.link(EntryId::from(transaction.id(self.params.genesis_id())), Height::new(height));
            self.mined.push((transfer, height, self.account.history));
        }
        let accounts = accounts_root(&[(self.address, self.account)]);
        if leaves.len() > 1 {
            self.chain.grow_over(accounts, tx_root(&leaves));
        } else {
            self.chain.grow(accounts, self.mark);
        }
        self.leaves.insert(height, leaves);
        self.accounts.push(self.account);
        self.tell_of_the_block();
    }

    /// Mines a block for a lie: as if its account had so many entries of a history.
    pub(crate) fn claim_entries(&mut self, entries: u64) {
        self.account.entries = entries;
        self.mine();
    }

    /// Mines a block for a lie: as if what waits had been mined long ago, in a block that it puts into the range of headers.
    pub(crate) fn forge_a_payment(&mut self, height: u64) {
        let transfer = self.pool.remove(0);
        let leaves = vec![Hash::ZERO, Hash::from_bytes(transfer.wire_id().to_bytes())];
        self.slipped = Some((height, self.chain.slip_in(height, tx_root(&leaves))));
        self.leaves.insert(height, leaves);
        self.account.balance = self.account.balance.checked_sub(transfer.transaction().fee()).unwrap();
        self.account.next_nonce += 1;
        self.account.link(EntryId::from(transfer.transaction().id(self.params.genesis_id())), Height::new(height));
        self.mined.push((transfer, height, self.account.history));
        self.mine();
    }

    /// The proof that a transfer was mined; or the reason for which there is none.
    pub(super) fn transaction_proof(&self, id: &TxId) -> Result<TransactionProof, &'static str> {
        if self.behaviour == Behaviour::KeepsNoIndex {
            return Err("TRANSACTION_INDEX_OFF");
        }
        let is_it = |transfer: &SignedTransaction| transfer.transaction().id(self.params.genesis_id()) == *id;
        let Some((signed, height, _)) = self.mined.iter().find(|(transfer, _, _)| is_it(transfer)) else {
            return Err(if self.pool.iter().any(is_it) { "TRANSACTION_NOT_MINED" } else { "TRANSACTION_NOT_FOUND" });
        };
        let leaf = Hash::from_bytes(signed.wire_id().to_bytes());
        let leaves = &self.leaves[height];
        let path = tx_path(leaves, leaves.iter().position(|found| *found == leaf).unwrap()).unwrap();
        let slipped = self.slipped.filter(|(at, _)| at == height).map(|(_, header)| header);
        let (header, anchor) =
            (slipped.unwrap_or(*self.chain.header(*height)), self.chain.anchor(*height, self.height()));
        Ok(TransactionProof { signed: signed.clone(), header, path, anchor })
    }

    pub(super) fn status(&self, id: &TxId) -> Option<TransactionStatus> {
        let is_it = |transfer: &SignedTransaction| transfer.transaction().id(self.params.genesis_id()) == *id;
        let mined = |height: u64| TransactionStanding::Mined {
            block_id: BlockId::from_bytes([7; 32]),
            height: Height::new(height),
            index: 1,
            confirmations: self.height() - height + if self.behaviour == Behaviour::CountsTooMany { 100 } else { 1 },
        };
        let has_index = self.behaviour != Behaviour::KeepsNoIndex;
        let standing = if let Some((_, height, _)) = self.mined.iter().find(|(one, _, _)| has_index && is_it(one)) {
            mined(*height)
        } else if let Some(waiting) = self.pool.iter().find(|transfer| is_it(transfer)) {
            let lower = self.account.next_nonce..waiting.transaction().nonce();
            let is_there = |nonce: u64| self.pool.iter().any(|one| one.transaction().nonce() == nonce);
            if self.behaviour == Behaviour::PretendsToMine {
                mined(self.height())
            } else if lower.into_iter().all(is_there) {
                TransactionStanding::Pending
            } else {
                TransactionStanding::Queued
            }
        } else if let Some((transfer, reason)) = self.dropped.iter().find(|(transfer, _)| is_it(transfer)) {
            let by = self.waiting_at(transfer.transaction()).filter(|_| *reason == "REPLACED");
            let replaced_by = by.map(|at| self.pool[at].transaction().id(self.params.genesis_id()));
            TransactionStanding::Dropped { reason: (*reason).to_owned(), replaced_by }
        } else {
            return None;
        };
        Some(TransactionStatus { id: *id, standing })
    }
}
