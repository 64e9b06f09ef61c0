//! What a reader has replayed, and its hash.
//!
//! The hash is SHA-256 over the ids of all blocks from genesis to where the reader stands, in order, 32 bytes each, and
//! then over each account that has anything, in the order of addresses: its address and its mites as 16 bytes, little
//! end first. A reader computes balances from what the blocks say that it was sent: coinbases, outputs, and from the
//! senders the outputs and the fee. Nothing else that a node says about balances is looked at.

use farthing::{
    Address, BlockId, Params, PublicKey,
    hash::sha256,
    wire::v1::{self, subscribe_blocks_response::Event, transaction::Sender},
};

use super::model::{Balances, Model};

/// What a frame did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Applied,
    Undone,
    Nothing,
    /// The node leaves.
    Draining,
}

/// A reader's state.
#[derive(Debug)]
pub(crate) struct State {
    /// Where it began, or down to where it was taken back since; none: before genesis.
    base: Option<(u64, BlockId)>,
    /// What it applied since.
    applied: Vec<Applied>,
    balances: Balances,
}

#[derive(Debug)]
struct Applied {
    id: BlockId,
    /// By how much each account changed.
    changes: Box<[(Address, i128)]>,
}

impl State {
    /// Nothing is known yet: genesis comes first.
    pub(crate) fn empty() -> Self {
        Self { base: None, applied: Vec::new(), balances: Balances::new() }
    }

    /// Behind a block, with the balances there.
    pub(crate) fn behind(model: &Model, id: BlockId) -> Result<Self, String> {
        let made = model.get(id)?;
        Ok(Self { base: Some((made.height, id)), applied: Vec::new(), balances: made.balances })
    }

    /// Where a stream stands whose first frame this is.
    pub(crate) fn before(model: &Model, frame: &v1::SubscribeBlocksResponse) -> Result<Self, String> {
        let id = match &frame.event {
            Some(Event::Apply(block)) if block.height == 0 => return Ok(Self::empty()),
            Some(Event::Apply(block)) => id(&block.header.as_ref().ok_or("a block without a header")?.previous)?,
            Some(Event::Undo(undo)) => id(&undo.block_id)?,
            _ if frame.cursor.len() == 1 => return Ok(Self::empty()),
            // Version, height, id.
            _ => id(frame.cursor.get(9..).ok_or("a short cursor")?)?,
        };
        Self::behind(model, id)
    }

    /// The block that it stands behind.
    pub(crate) fn last(&self) -> Option<BlockId> {
        self.applied.last().map(|applied| applied.id).or(self.base.map(|(_, id)| id))
    }

    pub(crate) fn next_height(&self) -> u64 {
        self.base.map_or(0, |(height, _)| height + 1) + self.applied.len() as u64
    }

    /// Takes a frame. An error is a gap, a repeat, or anything else that must not be.
    pub(crate) fn take(&mut self, params: &Params, model: &Model, event: Option<&Event>) -> Result<Step, String> {
        match event {
            Some(Event::Apply(block)) => self.apply(params, block).map(|()| Step::Applied),
            Some(Event::Undo(undo)) => self.undo(model, undo).map(|()| Step::Undone),
            Some(Event::Progress(_)) => Ok(Step::Nothing),
            Some(Event::Draining(_)) => Ok(Step::Draining),
            None => Err("a frame without an event".to_owned()),
        }
    }

    fn apply(&mut self, params: &Params, block: &v1::BlockView) -> Result<(), String> {
        let (new, height) = (id(&block.block_id)?, block.height);
        let previous = id(&block.header.as_ref().ok_or("a block without a header")?.previous)?;
        let expected = self.next_height();
        if height != expected || self.last().is_some_and(|last| last != previous) {
            let stands = self.last().map_or("before genesis".to_owned(), |last| format!("behind {last}"));
            return Err(format!("applied {new} at {height} on {previous}; stood {stands}, next height {expected}"));
        }
        let changes = if height == 0 { allocations(params) } else { changes(block)? };
        self.change(&changes, 1);
        self.applied.push(Applied { id: new, changes });
        Ok(())
    }

    fn undo(&mut self, model: &Model, undo: &v1::BlockUndo) -> Result<(), String> {
        let (old, last) = (id(&undo.block_id)?, self.last());
        if last != Some(old) || undo.height + 1 != self.next_height() {
            return Err(format!("undid {old} at {}; stood behind {last:?}", undo.height));
        }
        if let Some(applied) = self.applied.pop() {
            self.change(&applied.changes, -1);
        } else {
            *self = Self::behind(model, model.get(old)?.parent)?;
        }
        Ok(())
    }

    fn change(&mut self, changes: &[(Address, i128)], sign: i128) {
        for (address, mites) in changes {
            let balance = self.balances.entry(*address).or_default();
            *balance += sign * mites;
            if *balance == 0 {
                self.balances.remove(address);
            }
        }
    }

    /// Compares with what is known of the block that it stands behind.
    pub(crate) fn check(&self, model: &Model) -> Result<(), String> {
        let Some(last) = self.last() else { return Ok(()) };
        let held = model.get(last)?.balances;
        if self.balances == held { Ok(()) } else { Err(format!("behind {last}: {:?}, not {held:?}", self.balances)) }
    }

    pub(crate) fn digest(&self, model: &Model) -> Result<[u8; 32], String> {
        let mut ids = self.base.map_or(Ok(Vec::new()), |(_, id)| model.path(id))?;
        ids.extend(self.applied.iter().map(|applied| applied.id));
        Ok(digest(&ids, &self.balances))
    }
}

/// The hash of a state; see above.
pub(crate) fn digest(ids: &[BlockId], balances: &Balances) -> [u8; 32] {
    let mut bytes: Vec<u8> = ids.iter().flat_map(|id| *id.as_bytes()).collect();
    for (address, mites) in balances {
        bytes.extend_from_slice(address.as_bytes());
        bytes.extend_from_slice(&mites.to_le_bytes());
    }
    sha256(&[&bytes])
}

pub(crate) fn id(bytes: &[u8]) -> Result<BlockId, String> {
    BlockId::try_from(bytes).map_err(|_| format!("an id of {} bytes", bytes.len()))
}

fn address(bytes: &[u8]) -> Result<Address, String> {
    let bytes = <[u8; 32]>::try_from(bytes).map_err(|_| format!("an address of {} bytes", bytes.len()))?;
    Ok(Address::from_bytes(bytes))
}

fn allocations(params: &Params) -> Box<[(Address, i128)]> {
    params.allocations.iter().map(|each| (each.address, each.amount.get().into())).collect()
}

/// By how much a block changes accounts.
fn changes(block: &v1::BlockView) -> Result<Box<[(Address, i128)]>, String> {
    let coinbase = block.coinbase.as_ref().ok_or("a block without a coinbase")?;
    let mut changes = vec![(address(&coinbase.address)?, i128::from(coinbase.amount_mites))];
    for view in &block.transactions {
        let transaction = view.transaction.as_ref().ok_or("an empty view of a transaction")?;
        let sender = match transaction.sender.as_ref().ok_or("a transaction without a sender")? {
            Sender::PublicKey(spki) => PublicKey::from_spki(spki).map_err(|error| error.to_string())?.address(),
            Sender::SenderAddress(bytes) => address(bytes)?,
        };
        let mut paid = i128::from(transaction.fee_mites);
        for output in &transaction.outputs {
            paid += i128::from(output.amount_mites);
            changes.push((address(&output.address)?, output.amount_mites.into()));
        }
        changes.push((sender, -paid));
    }
    Ok(changes.into())
}
