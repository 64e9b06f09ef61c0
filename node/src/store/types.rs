//! What goes into the store and comes out of it.

use std::{fmt, num::NonZeroU32, sync::Arc};

use farthing::{
    Account, Address, Block, BlockId, Height, Work,
    codec::{Canonical, DecodeError, Reader, put_count},
    header::HEADER_BYTES,
};
use farthing_consensus::HeaderContext;

use crate::ledger::ChainView;

/// Most accounts that one block can touch: every transaction its sender and 64 outputs, and the coinbase.
const MAX_TOUCHED: usize = 4_000_000;

/// Where canonical bytes stand in the block log: a segment and an offset in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPlace {
    segment: u32,
    // Never 0, for a segment begins with a header: so that an optional place takes 8 bytes.
    offset: NonZeroU32,
}

impl LogPlace {
    /// None for offset 0, where no canonical bytes can stand.
    #[must_use]
    pub fn new(segment: u32, offset: u32) -> Option<Self> {
        NonZeroU32::new(offset).map(|offset| Self { segment, offset })
    }

    /// Number of the segment.
    pub fn segment(self) -> u32 {
        self.segment
    }

    /// Offset in the segment, in bytes.
    pub fn offset(self) -> u32 {
        self.offset.get()
    }

    /// The place so many bytes further on.
    pub(crate) fn behind(self, bytes: usize) -> Option<Self> {
        Self::new(self.segment, self.offset().checked_add(u32::try_from(bytes).ok()?)?)
    }

    /// The same place in a copy: where the bytes at `from` stand again at `to`.
    pub(crate) fn in_copy(self, from: Self, to: Self) -> Option<Self> {
        Self::new(to.segment, self.offset().checked_sub(from.offset())?.checked_add(to.offset())?)
    }

    /// The place of a transaction, given that of its block and its index there; where a key-carrying one stands.
    /// None if the block has no such transaction.
    #[must_use]
    pub fn of_transaction(self, block: &Block, index: usize) -> Option<Self> {
        let before = block.transactions.get(..index).filter(|_| index < block.transactions.len())?;
        // Header; coinbase: height, address, amount and the tag behind its count; count of transactions.
        let fixed = HEADER_BYTES + 8 + 32 + 8 + 4 + block.coinbase.tag.len() + 4;
        let within = before.iter().fold(fixed, |sum, transaction| sum + transaction.size_bytes());
        let offset = self.offset.checked_add(u32::try_from(within).ok()?)?;
        Some(Self { segment: self.segment, offset })
    }

    pub(crate) fn encode_optional(place: Option<Self>, out: &mut Vec<u8>) {
        out.extend_from_slice(&place.map_or(0, |place| place.segment).to_le_bytes());
        out.extend_from_slice(&place.map_or(0, |place| place.offset.get()).to_le_bytes());
    }

    pub(crate) fn decode_optional(reader: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
        let segment = reader.u32("place: segment")?;
        Ok(Self::new(segment, reader.u32("place: offset")?))
    }
}

impl fmt::Display for LogPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {} offset {}", self.segment, self.offset)
    }
}

/// What the node remembers of an account beside what headers commit to: 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct AccountMeta {
    /// Where the transaction stands that carries the account's key; none before its first transaction.
    pub key: Option<LogPlace>,
    /// Height of the last block that touched it.
    pub last_touch: Height,
}

impl AccountMeta {
    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        LogPlace::encode_optional(self.key, out);
        self.last_touch.encode(out);
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { key: LogPlace::decode_optional(reader)?, last_touch: Height::decode(reader)? })
    }
}

/// What one block did to one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountEffect {
    /// The account.
    pub address: Address,
    /// Its state before the block; none if the block opened it. `last_touch` is the height of the previous touch on
    /// this branch, and so the link of the account's history.
    pub before: Option<(Account, AccountMeta)>,
    /// What in the block touched it: 0 is the coinbase credited in it, n the n-th transaction. Rising.
    pub positions: Vec<u32>,
}

/// What one block did: enough to undo it, and to walk each account's history backwards.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Effects {
    /// Sorted by address.
    pub accounts: Vec<AccountEffect>,
}

impl Effects {
    /// What the block did to this account, if it touched it.
    pub fn of(&self, address: &Address) -> Option<&AccountEffect> {
        let at = self.accounts.binary_search_by_key(address, |effect| effect.address).ok()?;
        self.accounts.get(at)
    }
}

impl Canonical for AccountEffect {
    fn encode(&self, out: &mut Vec<u8>) {
        self.address.encode(out);
        match &self.before {
            None => out.push(0),
            Some((account, meta)) => {
                out.push(1);
                account.encode(out);
                meta.encode(out);
            }
        }
        put_count(out, self.positions.len());
        for position in &self.positions {
            out.extend_from_slice(&position.to_le_bytes());
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let address = Address::decode(reader)?;
        let before = match reader.u8("before")? {
            0 => None,
            1 => Some((Account::decode(reader)?, AccountMeta::decode(reader)?)),
            value => return Err(DecodeError::UnknownChoice { field: "before", value }),
        };
        let count = reader.count("positions", MAX_TOUCHED, 4)?;
        let positions = (0..count).map(|_| reader.u32("position")).collect::<Result<_, _>>()?;
        Ok(Self { address, before, positions })
    }
}

impl Canonical for Effects {
    fn encode(&self, out: &mut Vec<u8>) {
        put_count(out, self.accounts.len());
        for account in &self.accounts {
            account.encode(out);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = reader.count("accounts", MAX_TOUCHED, 32 + 1 + 4)?;
        let mut accounts = Vec::with_capacity(count);
        for _ in 0..count {
            accounts.push(AccountEffect::decode(reader)?);
        }
        Ok(Self { accounts })
    }
}

/// A block to be kept.
#[derive(Clone, Debug)]
pub struct NewBlock {
    /// The block.
    pub block: Arc<Block>,
    /// Its id.
    pub id: BlockId,
    /// Its height.
    pub height: Height,
    /// Work of the chain that ends with it.
    pub total_work: Work,
}

/// A move of the best chain.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct BestChange {
    /// Blocks that leave it, the tip first.
    pub undone: Vec<BlockId>,
    /// Blocks that join it, the lowest first.
    pub applied: Vec<BlockId>,
}

/// What becomes durable together.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// New blocks. One that the store already holds is left as it is.
    pub blocks: Vec<NewBlock>,
    /// What blocks did when they were executed: once per block id ever, the block's record before it.
    pub effects: Vec<(BlockId, Effects)>,
    /// The move of the best chain that goes with it.
    pub best: Option<BestChange>,
}

/// What a store knows when it is opened.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// The ledger at the tip. The tip is lower than before if a block of the best chain is damaged: that one is then in
    /// [`Store::damaged`](super::Store::damaged), and the old tip among the candidates.
    pub view: ChainView,
    /// Blocks beside the best chain with at least the tip's work, the most work first: their branches are to be
    /// tried again.
    pub candidates: Vec<HeaderContext>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use farthing::{Mites, Network};

    #[test]
    fn effects_read_back_and_are_found_by_address() {
        let effect = |n: u8, before| AccountEffect {
            address: Address::from_bytes([n; 32]),
            before,
            positions: vec![0, u32::from(n)],
        };
        let meta = AccountMeta { key: LogPlace::new(3, 77), last_touch: Height::new(9) };
        let effects =
            Effects { accounts: vec![effect(1, None), effect(2, Some((Account::with_balance(Mites::new(5)), meta)))] };
        let read = Effects::from_canonical(&effects.to_canonical()).unwrap();
        assert_eq!(read, effects);
        assert_eq!(read.of(&Address::from_bytes([2; 32])), Some(&effects.accounts[1]));
        assert_eq!(read.of(&Address::from_bytes([3; 32])), None);
    }

    #[test]
    fn what_is_kept_of_an_account_takes_16_bytes() {
        assert_eq!(size_of::<AccountMeta>(), 16);
    }

    #[test]
    fn a_block_without_transactions_has_no_place_for_one() {
        let genesis = Network::Dev.params().genesis();
        assert_eq!(LogPlace::new(0, 64).unwrap().of_transaction(genesis, 0), None);
    }
}
