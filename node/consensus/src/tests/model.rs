//! A second ledger, written from SPEC.md by itself: plain maps, plain lists, every hash from its bytes, a whole copy for
//! every block. Slow and obvious on purpose. It shares nothing with the code under test but the parsed input and SHA-256.

use std::collections::{BTreeMap, BTreeSet};

use farthing::{Coinbase, Params, Sender, SignedTransaction, hash::sha256};

pub(super) type Bytes = [u8; 32];

/// Numbers wide enough that nothing overflows before it is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ModelAccount {
    pub(super) balance: i128,
    pub(super) next_nonce: u64,
    /// Every id that touched the account with the height it did so in, oldest first.
    pub(super) entries: Vec<(Bytes, u64)>,
}

/// The whole ledger after a block.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) accounts: BTreeMap<Bytes, ModelAccount>,
    pub(super) height: u64,
    /// Coinbases of all blocks so far: to whom, how much, by which id.
    coinbases: Vec<(Bytes, i128, Bytes)>,
    burned: i128,
}

/// A block that is being executed.
#[derive(Debug, Clone)]
pub(super) struct Open {
    accounts: BTreeMap<Bytes, ModelAccount>,
    height: u64,
    fees: i128,
    burned: i128,
    openings: u64,
}

impl ModelAccount {
    pub(super) fn history(&self) -> Bytes {
        self.entries
            .iter()
            .fold([0; 32], |history, (id, height)| sha256(&[&[0x50], &history, id, &height.to_le_bytes()]))
    }

    fn leaf(&self, address: &Bytes) -> Bytes {
        let balance = u64::try_from(self.balance).unwrap().to_le_bytes();
        let count = (self.entries.len() as u64).to_le_bytes();
        sha256(&[&[0x20], address, &balance, &self.next_nonce.to_le_bytes(), &count, &self.history()])
    }
}

impl Model {
    pub(super) fn genesis(params: &Params) -> Self {
        let account = |amount: u64| ModelAccount { balance: amount.into(), ..ModelAccount::default() };
        Self {
            accounts: params.allocations.iter().map(|a| (a.address.to_bytes(), account(a.amount.get()))).collect(),
            height: 0,
            coinbases: vec![([0; 32], 0, [0; 32])],
            burned: 0,
        }
    }

    /// Begins the next block.
    pub(super) fn open(&self) -> Open {
        Open { accounts: self.accounts.clone(), height: self.height + 1, fees: 0, burned: 0, openings: 0 }
    }

    /// The ledger after a block, or the id of the first rule that the block breaks.
    pub(super) fn connect(
        &self,
        params: &Params,
        coinbase: &Coinbase,
        transactions: &[SignedTransaction],
    ) -> Result<Self, &'static str> {
        let ids: BTreeSet<Bytes> = transactions.iter().map(|tx| transaction_id(params, tx)).collect();
        if ids.len() != transactions.len() {
            return Err("R-BLK-04");
        }
        let mut open = self.open();
        for tx in transactions {
            open.pay(params, tx)?;
        }
        if coinbase.height.get() != open.height {
            return Err("R-CB-02");
        }
        if i128::from(coinbase.amount.get()) != open.reward(params) {
            return Err("R-CB-03");
        }
        let mut coinbases = self.coinbases.clone();
        coinbases.push((coinbase.to.to_bytes(), coinbase.amount.get().into(), coinbase_id(params, coinbase)));
        if let Some(due) = open.height.checked_sub(params.reward_delay)
            && due >= 1
        {
            let (to, amount, id) = coinbases[usize::try_from(due).unwrap()];
            if amount != 0 {
                let account = open.accounts.entry(to).or_default();
                account.balance += amount;
                account.entries.push((id, open.height));
            }
        }
        let burned = self.burned + open.burned;
        Ok(Self { accounts: open.accounts, height: open.height, coinbases, burned })
    }

    /// `accounts_root`, from the definition.
    pub(super) fn root(&self) -> Bytes {
        let leaves: Vec<_> = self.accounts.iter().map(|(address, account)| (*address, account.leaf(address))).collect();
        subtree(&leaves)
    }

    /// balances + credits still delayed + burned = allocations + subsidies so far.
    pub(super) fn supply_adds_up(&self, params: &Params) -> bool {
        let balances: i128 = self.accounts.values().map(|account| account.balance).sum();
        let credited = self.height.saturating_sub(params.reward_delay);
        let delayed: i128 = self.coinbases[usize::try_from(credited).unwrap() + 1..].iter().map(|paid| paid.1).sum();
        let allocated: i128 = params.allocations.iter().map(|a| i128::from(a.amount.get())).sum();
        let subsidies: i128 = (1..=self.height).map(|height| subsidy(params, height)).sum();
        balances + delayed + self.burned == allocated + subsidies
    }

    /// Every account's numbers are what its entries say they should be in number, and none is negative.
    pub(super) fn is_sane(&self) -> bool {
        self.accounts.values().all(|account| account.balance >= 0 && account.next_nonce <= account.entries.len() as u64)
    }
}

impl Open {
    pub(super) fn account(&self, address: &Bytes) -> ModelAccount {
        self.accounts.get(address).cloned().unwrap_or_default()
    }

    pub(super) fn exists(&self, address: &Bytes) -> bool {
        self.accounts.contains_key(address)
    }

    pub(super) fn height(&self) -> u64 {
        self.height
    }

    /// What the block's coinbase must pay.
    pub(super) fn reward(&self, params: &Params) -> i128 {
        subsidy(params, self.height) + self.fees - self.burned
    }

    /// Executes a transaction, or says which rule it breaks and changes nothing.
    pub(super) fn pay(&mut self, params: &Params, signed: &SignedTransaction) -> Result<(), &'static str> {
        let tx = signed.transaction();
        let sender = match tx.sender() {
            Sender::Key(key) => sha256(&[key.as_spki()]),
            Sender::Address(address) => address.to_bytes(),
        };
        let fee = i128::from(tx.fee().get());
        let sum: i128 = tx.outputs().iter().map(|output| i128::from(output.amount.get())).sum();
        let receivers: BTreeSet<Bytes> = tx.outputs().iter().map(|output| output.to.to_bytes()).collect();
        let opened = receivers.iter().filter(|to| !self.exists(to)).count();
        let cost = i128::from(params.opening_cost.get()) * opened as i128;

        if tx.nonce() != self.account(&sender).next_nonce {
            return Err("R-ACC-01");
        }
        if tx.valid_until().is_some_and(|last| last.get() != 0 && self.height > last.get()) {
            return Err("R-ACC-02");
        }
        if fee + sum > self.account(&sender).balance {
            return Err("R-ACC-03");
        }
        if fee < cost {
            return Err("R-OPN-01");
        }
        if self.openings + opened as u64 > params.max_openings.into() {
            return Err("R-OPN-02");
        }

        let account = self.accounts.entry(sender).or_default();
        account.balance -= fee + sum;
        account.next_nonce += 1;
        for output in tx.outputs() {
            self.accounts.entry(output.to.to_bytes()).or_default().balance += i128::from(output.amount.get());
        }
        let id = transaction_id(params, signed);
        let mut touched = receivers;
        touched.insert(sender);
        for address in touched {
            self.accounts.entry(address).or_default().entries.push((id, self.height));
        }
        self.fees += fee;
        self.burned += cost;
        self.openings += opened as u64;
        Ok(())
    }
}

fn subsidy(params: &Params, height: u64) -> i128 {
    let mut subsidy = i128::from(params.initial_subsidy.get());
    for _ in 0..(height - 1) / params.halving_interval {
        subsidy /= 2;
    }
    subsidy
}

/// The bit of an address; 0 is the top bit of byte 0.
fn bit(address: &Bytes, at: usize) -> bool {
    (address[at / 8] >> (7 - at % 8)) & 1 == 1
}

fn subtree(leaves: &[(Bytes, Bytes)]) -> Bytes {
    if leaves.is_empty() {
        return [0; 32];
    }
    if leaves.len() == 1 {
        return leaves[0].1;
    }
    let differs = |at: usize| leaves.iter().any(|(address, _)| bit(address, at) != bit(&leaves[0].0, at));
    let at = (0..256).find(|at| differs(*at)).unwrap();
    let (right, left): (Vec<_>, Vec<_>) = leaves.iter().partition(|(address, _)| bit(address, at));
    sha256(&[&[0x21, u8::try_from(at).unwrap()], &subtree(&left), &subtree(&right)])
}

fn counted(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_le_bytes(), bytes].concat()
}

fn transaction_id(params: &Params, signed: &SignedTransaction) -> Bytes {
    let tx = signed.transaction();
    let mut body = vec![1];
    match tx.sender() {
        Sender::Key(key) => body.extend([vec![0], counted(key.as_spki())].concat()),
        Sender::Address(address) => body.extend([&[1], address.as_bytes().as_slice()].concat()),
    }
    for number in [tx.nonce(), tx.fee().get(), tx.valid_until().map_or(0, farthing::Height::get)] {
        body.extend(number.to_le_bytes());
    }
    body.extend(u32::try_from(tx.outputs().len()).unwrap().to_le_bytes());
    for output in tx.outputs() {
        body.extend(output.to.to_bytes());
        body.extend(output.amount.get().to_le_bytes());
    }
    body.extend(counted(tx.memo()));
    sha256(&[b"farthing transaction\0", params.genesis_id().as_bytes(), &body])
}

fn coinbase_id(params: &Params, coinbase: &Coinbase) -> Bytes {
    let numbers = [coinbase.height.get().to_le_bytes(), coinbase.amount.get().to_le_bytes()];
    let [height, amount] = numbers;
    let genesis = params.genesis_id().as_bytes();
    sha256(&[b"farthing coinbase\0", genesis, &height, coinbase.to.as_bytes(), &amount, &counted(&coinbase.tag)])
}
