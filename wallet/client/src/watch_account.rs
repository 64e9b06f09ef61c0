//! One account as a stream that never ends: each block that touches it, and each that takes that back.

use std::collections::VecDeque;

use farthing::{
    Account, Address, Height, Params,
    wire::{ChainPoint, WireError, WireFault, v1, v1::watch_account_response::Event},
};
use tonic::{Response, Status, Streaming};

use crate::{
    answers::EntryView,
    client::Client,
    cursor::Cursor,
    error::Error,
    follow::{Following, Kind, Step, public_stream, read_cursor, read_point},
    pool::{NodeSlot, Service},
    verify::{VerifyError, linked::Linked},
    watch::{Stand, WatchStart, check_cursor},
};

/// How many states are remembered, to check where an undo leads. Deeper ones are taken on the node's word.
const REMEMBERED: usize = 1_000;

/// An account as of one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountAt {
    /// The block up to and with which everything is counted.
    pub block: ChainPoint,
    /// Its state; none if it does not exist.
    pub account: Option<Account>,
}

impl AccountAt {
    /// The state, an account that does not exist counted as empty.
    #[must_use]
    pub fn state(&self) -> Account {
        self.account.unwrap_or_default()
    }
}

/// What happened to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountEvent {
    /// This is how it is. The first event, unless the stream began behind a cursor.
    State(AccountAt),
    /// A block that touches it became part of the best chain.
    Apply {
        /// The account after the block.
        state: AccountAt,
        /// What touched it, the oldest first. None if the block is genesis.
        entries: Vec<EntryView>,
    },
    /// Blocks left the best chain, and with them what they did to the account.
    Undo {
        /// The highest of them that touched it; or, on a node that never had their branch, the highest that was told.
        left: ChainPoint,
        /// The account without them: keep as many entries as that has, and drop those above.
        state: AccountAt,
    },
}

impl AccountEvent {
    /// The account behind the event.
    #[must_use]
    pub const fn state(&self) -> &AccountAt {
        match self {
            Self::State(state) | Self::Apply { state, .. } | Self::Undo { state, .. } => state,
        }
    }
}

/// One step of the reader of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountFrame {
    /// What happened.
    pub event: AccountEvent,
    /// Where to continue. Store it with what the event led to, in one transaction.
    pub cursor: Cursor,
    /// The node's tip when it sent the frame, on its word: how far behind the reader is.
    pub tip: ChainPoint,
}

/// One account, block by block. Made by [`Client::watch_account`].
///
/// What is told is one history, or the node is left for another one, at the cursor of the last good frame: entries are numbered without
/// gaps, each has the id of what it shows and leads to the history's head that it states, an own transfer uses the next nonce,
/// balances add up, and what blocks did is taken back exactly. That the blocks are on the chain with the most work is on the
/// node's word, and so is the state that the stream begins with: hold it against [`Client::account`], which is proven.
pub struct AccountWatch(Following<Watched>);

/// A state that was told.
#[derive(Debug, Clone, Copy)]
struct Known {
    height: Height,
    account: Option<Account>,
    /// Whether the block at that height made it what it is.
    is_touched: bool,
}

/// Where the reader of an account stands.
struct Watched {
    address: Address,
    stand: Stand,
    /// The newest states, the newest last. Only the first one can be untouched.
    known: VecDeque<Known>,
}

impl Client {
    /// Watches an account, which need not exist yet, for ever. Nothing is asked before the first [`AccountWatch::next`].
    #[must_use]
    pub fn watch_account(&self, address: &Address, start: WatchStart) -> AccountWatch {
        let mut known = VecDeque::new();
        if start == WatchStart::Cursor(Cursor::before_genesis()) {
            known.push_back(Known { height: Height::GENESIS, account: None, is_touched: false });
        }
        AccountWatch(Following::new(self.clone(), Watched { address: *address, stand: Stand::new(start), known }))
    }
}

impl AccountWatch {
    /// What happens next to the account. Waits for it as long as it takes, and goes from node to node with growing pauses while
    /// none can tell. Dropping the future loses nothing: no frame is consumed before it is returned.
    ///
    /// # Errors
    /// Only what no waiting and no other node mends: [`Error::Setup`], [`Error::WrongNetwork`] if that goes for every
    /// node, and refusals such as `INVALID_CURSOR`, or `BLOCK_PRUNED` by every node.
    pub async fn next(&mut self) -> Result<AccountFrame, Error> {
        loop {
            // It has no last frame.
            if let Some(frame) = self.0.next().await? {
                return Ok(frame);
            }
        }
    }

    /// Behind the last block that a node told of, also if it does not touch the account: whoever stores it now and then has
    /// less to go through after a pause. None until something was told.
    #[must_use]
    pub fn cursor(&self) -> Option<&Cursor> {
        self.0.kind().stand.cursor()
    }
}

public_stream!(AccountWatch, AccountFrame, address, stand);

impl Kind for Watched {
    const NAME: &'static str = "account";

    type Message = v1::WatchAccountResponse;
    type Frame = AccountFrame;

    async fn ask(&self, mut service: Service) -> Result<Response<Streaming<Self::Message>>, Status> {
        let id = Some(v1::watch_account_request::Id::Address(self.address.to_bytes().to_vec().into()));
        service.watch_account(v1::WatchAccountRequest { id, cursor: self.stand.to_bytes().into() }).await
    }

    fn read(&mut self, client: &Client, message: Self::Message, node: &NodeSlot) -> Result<Step<AccountFrame>, Error> {
        let tip = node.read_tip(message.tip)?;
        let event = match message.event {
            None => return Err(node.malformed(WireError::missing("event"))),
            Some(Event::Progress(_)) => {
                self.stand.pass(&message.cursor, node)?;
                return Ok(Step::Nothing);
            }
            Some(Event::Draining(_)) => return Ok(Step::Draining),
            Some(event) => event,
        };
        let cursor = read_cursor(&message.cursor, node)?;
        let event = self.event(client, event, &cursor, node).inspect_err(|_| self.stand.go_back())?;
        self.stand.go(cursor.clone());
        Ok(Step::Frame(Box::new(AccountFrame { event, cursor, tip })))
    }
}

impl Watched {
    fn event(
        &mut self,
        client: &Client,
        event: Event,
        cursor: &Cursor,
        node: &NodeSlot,
    ) -> Result<AccountEvent, Error> {
        let network = client.network();
        let (event, fits) = match event {
            Event::State(state) => {
                let state = read_state("state", Some(state), cursor, node)?;
                (AccountEvent::State(state), self.begin(&state))
            }
            Event::Apply(apply) => {
                let state = read_state("apply.state", apply.state, cursor, node)?;
                let linked = apply.entries.into_iter().map(|entry| Linked::read(network, entry));
                let linked = linked.collect::<Result<Vec<_>, _>>().map_err(|error| match error {
                    VerifyError::Malformed(source) => node.malformed(source.within("apply")),
                    other => node.unproven(other),
                })?;
                let fits = self.apply(network, &state, &linked);
                let entries = linked.into_iter().map(EntryView::from).collect();
                (AccountEvent::Apply { state, entries }, fits)
            }
            Event::Undo(undo) => {
                let state = read_state("undo.state", undo.state, cursor, node)?;
                let left = read_point("undo.block", undo.block, node)?;
                (AccountEvent::Undo { left, state }, self.undo(&left, &state))
            }
            Event::Progress(_) | Event::Draining(_) => return Err(node.malformed(WireError::missing("event"))),
        };
        let height = event.state().block.height;
        fits.map_err(|what| node.unproven(VerifyError::Succession { height, what }))?;
        Ok(event)
    }

    fn begin(&mut self, state: &AccountAt) -> Result<(), &'static str> {
        if self.stand.cursor().is_some() {
            return Err("it begins anew, though it was to go on");
        }
        let AccountAt { block, account } = *state;
        self.known = VecDeque::from([Known { height: block.height, account, is_touched: false }]);
        Ok(())
    }

    fn apply(&mut self, network: &Params, state: &AccountAt, entries: &[Linked]) -> Result<(), &'static str> {
        let height = state.block.height;
        let after = state.account.ok_or("a block touches the account, and it does not exist")?;
        let before = self.known.back().copied();
        if before.is_some_and(|known| known.is_touched && known.height >= height) {
            return Err("a block above it has touched the account and was not taken back");
        }
        if height == Height::GENESIS {
            check_allocation(network, &self.address, &after, entries)?;
        } else {
            check_entries(&self.address, height, before.map(|known| known.account), entries, &after)?;
        }
        // Blocks that did nothing to the account are taken back unsaid.
        if let (Some(first), Some(below)) = (self.known.front_mut(), height.previous())
            && !first.is_touched
        {
            first.height = first.height.min(below);
        }
        self.known.push_back(Known { height, account: Some(after), is_touched: true });
        if self.known.len() > REMEMBERED {
            self.known.pop_front();
        }
        Ok(())
    }

    fn undo(&mut self, left: &ChainPoint, state: &AccountAt) -> Result<(), &'static str> {
        let AccountAt { block, account } = *state;
        if left.height <= block.height {
            return Err("the block that left is not above the one that remains");
        }
        let kept = self.known.iter().take_while(|known| known.height <= block.height).count();
        match kept.checked_sub(1).and_then(|last| self.known.get(last)) {
            Some(known) if known.account != account => return Err("the account was another one there"),
            _ => self.known.truncate(kept),
        }
        if self.known.is_empty() {
            self.known.push_back(Known { height: block.height, account, is_touched: false });
        }
        Ok(())
    }
}

/// What genesis gives has no entries.
fn check_allocation(
    network: &Params,
    address: &Address,
    after: &Account,
    entries: &[Linked],
) -> Result<(), &'static str> {
    let given = network.allocations.iter().find(|allocation| allocation.address == *address);
    match given {
        Some(given) if entries.is_empty() && *after == Account::with_balance(given.amount) => Ok(()),
        _ => Err("genesis did not do that"),
    }
}

/// Whether these entries, and nothing else, made of the account what it is.
fn check_entries(
    address: &Address,
    height: Height,
    before: Option<Option<Account>>,
    entries: &[Linked],
    after: &Account,
) -> Result<(), &'static str> {
    let first = entries.first().ok_or("a block touches the account, and nothing of it is shown")?;
    // Of an account that was never told the entries must still fit one behind the other.
    let (mut account, unlinked) = match before {
        Some(before) => (before.unwrap_or_default(), entries),
        None => {
            let number = first.view.number;
            let mut account = Account { entries: number, history: first.head, ..Account::default() };
            let sent = entries.iter().filter(|entry| entry.linked.paid_nonce(address).is_some()).count();
            account.next_nonce = after.next_nonce.saturating_sub(u64::try_from(sent).unwrap_or(u64::MAX));
            (account, entries.get(1..).unwrap_or_default())
        }
    };
    let mut balance = i128::from(account.balance.get());
    for entry in entries {
        if entry.view.height != height {
            return Err("an entry is at another height");
        }
        let (to_it, from_it) = entry.linked.change(address);
        balance = balance + i128::from(to_it.get()) - i128::from(from_it.get());
        match entry.linked.paid_nonce(address) {
            Some(nonce) if nonce != account.next_nonce => {
                return Err("an own transfer has another nonce than the next");
            }
            Some(nonce) => account.next_nonce = nonce.saturating_add(1),
            None if to_it.is_zero() => return Err("an entry does not concern the account"),
            None => {}
        }
    }
    for entry in unlinked {
        account.link(entry.view.id, height);
        if (entry.view.number, entry.head) != (account.entries, account.history) {
            return Err("an entry is not the next link of the account's history");
        }
    }
    if (account.entries, account.history) != (after.entries, after.history) {
        return Err("the entries lead to another history");
    }
    if account.next_nonce != after.next_nonce {
        return Err("the next nonce is another one");
    }
    if before.is_some() && balance != i128::from(after.balance.get()) {
        return Err("the entries lead to another balance");
    }
    Ok(())
}

/// Reads a state, which must be as of the block that the frame's cursor names.
fn read_state(
    field: &'static str,
    state: Option<v1::AccountState>,
    cursor: &Cursor,
    node: &NodeSlot,
) -> Result<AccountAt, Error> {
    let state = state.ok_or_else(|| node.malformed(WireError::missing(field)))?;
    let block = read_point("state.block", state.block, node)?;
    check_cursor(cursor, &block).map_err(|error| node.unproven(error))?;
    let account = state.account.ok_or_else(|| WireError::missing("account"));
    let account = account.and_then(|account| Account::try_from(account).map_err(|error| error.within("account")));
    let account = account.map_err(|error| node.malformed(error.within(field)))?;
    if !state.exists && account != Account::default() {
        let fault = WireFault::Unexpected { expected: "zeros of an account that does not exist" };
        return Err(node.malformed(WireError::new("account", fault).within(field)));
    }
    Ok(AccountAt { block, account: state.exists.then_some(account) })
}
