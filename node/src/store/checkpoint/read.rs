//! Reading checkpoints: the newest that is good, whatever became of the newer ones.

use std::{io, path::Path};

use farthing::{
    Account, Address, BlockId, Mites, Params, PublicKey,
    codec::{Canonical, DecodeError, Reader},
    header::commitment,
    keys::MAX_SPKI_BYTES,
};
use farthing_consensus::{AccountTree, Entry, HeaderContext};

use super::{
    CheckpointName, Defect, Head, MAGIC, VERSION,
    frame::{ChunkReader, Kind},
    list,
    write::preamble,
};
use crate::{
    env::Disk,
    ledger::ChainView,
    store::{AccountMeta, LogPlace},
};

/// A good checkpoint.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The ledger at its tip.
    pub view: ChainView,
    /// The log had been synced up to here when it was made: nothing before this is a torn tail.
    pub synced_to: Option<LogPlace>,
    /// Its name.
    pub name: CheckpointName,
}

/// What a search found.
#[derive(Debug)]
pub struct Search {
    /// The newest good checkpoint.
    pub found: Option<Loaded>,
    /// Newer ones that were passed over, and why.
    pub rejected: Vec<(CheckpointName, Defect)>,
}

/// Finds the newest good checkpoint whose tip the caller says is on the best chain. Changes nothing.
///
/// # Errors
/// Only if the directory cannot be read.
pub fn newest_good(
    disk: &dyn Disk,
    directory: &Path,
    params: &Params,
    on_best_chain: &dyn Fn(&HeaderContext) -> bool,
) -> io::Result<Search> {
    let mut rejected = Vec::new();
    for name in list(disk, directory)? {
        match load(disk, directory, name, params, on_best_chain) {
            Ok(loaded) => return Ok(Search { found: Some(loaded), rejected }),
            Err(defect) => rejected.push((name, defect)),
        }
    }
    Ok(Search { found: None, rejected })
}

/// Reads one checkpoint and checks all that it certifies, keys included.
///
/// # Errors
/// The first defect found.
pub fn load(
    disk: &dyn Disk,
    directory: &Path,
    name: CheckpointName,
    params: &Params,
    on_best_chain: &dyn Fn(&HeaderContext) -> bool,
) -> Result<Loaded, Defect> {
    let mut chunks = open(disk, &directory.join(name.to_string()), params.genesis_id())?;
    if chunks.next()? != Kind::Head {
        return Err(Defect::NotACheckpoint);
    }
    let head = Head::read(chunks.payload())?;
    let tip = &head.tip;
    if CheckpointName::of(tip) != name {
        return Err(Defect::Name { found: CheckpointName::of(tip) });
    }
    let range = head.range()?;
    head.check_immature(params.reward_delay)?;
    if !on_best_chain(tip) {
        return Err(Defect::OffTheBestChain(tip.id()));
    }
    let mut entries = Entries::new(chunks, tip.height().get());
    let tree = AccountTree::from_sorted(&mut entries);
    entries.finish()?;
    let accounts = tree?;
    check_sums(&head, accounts.len() as u64, entries.balances)?;
    let chain_root = head.before.chain_root().map_err(|_| Defect::Overflow)?;
    if commitment(&accounts.root(), &chain_root) != tip.header().commitment {
        return Err(Defect::Commitment(tip.id()));
    }
    let Head { tip, supply, immature, synced_to, .. } = head;
    Ok(Loaded { view: ChainView { tip, accounts, range, supply, immature }, synced_to, name })
}

pub(super) fn open(disk: &dyn Disk, path: &Path, genesis: &BlockId) -> Result<ChunkReader, Defect> {
    let file = disk.open_read(path)?;
    let expected = preamble(genesis);
    let mut found = vec![0; expected.len()];
    file.read_exact_at(0, &mut found).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Defect::NotACheckpoint,
        _ => Defect::Io(error),
    })?;
    let split = found.strip_prefix(MAGIC.as_slice()).and_then(|rest| rest.split_first_chunk::<2>());
    let (version, network) = split.ok_or(Defect::NotACheckpoint)?;
    if u16::from_le_bytes(*version) != VERSION {
        return Err(Defect::Version(u16::from_le_bytes(*version)));
    }
    if network != genesis.as_bytes() {
        let found = network.try_into().map_or(BlockId::ZERO, BlockId::from_bytes);
        return Err(Defect::OtherNetwork { found, expected: *genesis });
    }
    Ok(ChunkReader::begin(file, &expected)?)
}

fn check_sums(head: &Head, accounts: u64, balances: Option<Mites>) -> Result<(), Defect> {
    if accounts != head.accounts {
        return Err(Defect::Disagrees { what: "accounts", found: accounts, expected: head.accounts });
    }
    let waiting = Mites::checked_sum(head.immature.iter().map(|coinbase| coinbase.amount));
    let found = balances.zip(waiting).and_then(|(balances, waiting)| balances.checked_add(waiting));
    if found != Some(head.supply) {
        return Err(Defect::Supply { found, expected: head.supply });
    }
    Ok(())
}

/// The accounts of a file, one after the other; ends early at a defect, which [`Entries::finish`] gives.
struct Entries {
    chunks: ChunkReader,
    /// Bytes of the present chunk that were read.
    done: usize,
    height: u64,
    count: u64,
    balances: Option<Mites>,
    ended: bool,
    defect: Option<Defect>,
}

impl Entries {
    fn new(chunks: ChunkReader, height: u64) -> Self {
        let done = chunks.payload().len();
        Self { chunks, done, height, count: 0, balances: Some(Mites::ZERO), ended: false, defect: None }
    }

    /// Reads on to the end, if nothing else stopped before it, and gives what was wrong.
    fn finish(&mut self) -> Result<(), Defect> {
        self.defect.take().map_or(Ok(()), Err)
    }

    fn read(&mut self) -> Result<Option<(Address, Entry<AccountMeta>)>, Defect> {
        while self.done == self.chunks.payload().len() {
            let position = self.chunks.position();
            match self.chunks.next()? {
                Kind::Accounts => self.done = 0,
                Kind::End => return self.end(position).map(|()| None),
                Kind::Head => return Err(Defect::Chunk(position)),
            }
        }
        let mut reader = Reader::new(self.chunks.payload().get(self.done..).unwrap_or_default());
        let record = Record::decode(&mut reader).map_err(|source| Defect::Decode { what: "an account", source })?;
        let remaining = reader.remaining();
        record.check(self.height)?;
        self.done = self.chunks.payload().len().saturating_sub(remaining);
        self.count += 1;
        let balance = record.account.balance;
        self.balances = self.balances.and_then(|sum| sum.checked_add(balance));
        Ok(Some((record.address, Entry { account: record.account, meta: record.meta })))
    }

    fn end(&mut self, position: u64) -> Result<(), Defect> {
        self.ended = true;
        let mut reader = Reader::new(self.chunks.payload());
        let mut read =
            || -> Result<_, DecodeError> { Ok((reader.u64("accounts")?, reader.u64("bytes")?, reader.remaining())) };
        let (accounts, bytes, rest) =
            read().map_err(|source| Defect::Decode { what: "the end of a checkpoint", source })?;
        for (what, found, expected) in
            [("accounts at the end", accounts, self.count), ("bytes before the end", bytes, position)]
        {
            if found != expected {
                return Err(Defect::Disagrees { what, found, expected });
            }
        }
        match (rest as u64).saturating_add(self.chunks.left()) {
            0 => Ok(()),
            left => Err(Defect::BehindTheEnd(left)),
        }
    }
}

impl Iterator for &mut Entries {
    type Item = (Address, Entry<AccountMeta>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended || self.defect.is_some() {
            return None;
        }
        self.read().unwrap_or_else(|defect| {
            self.defect = Some(defect);
            None
        })
    }
}

/// One account as it stands in the file.
pub(super) struct Record<'a> {
    pub(super) address: Address,
    pub(super) account: Account,
    meta: AccountMeta,
    pub(super) spki: &'a [u8],
}

impl<'a> Record<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let address = Address::decode(reader)?;
        let account = Account::decode(reader)?;
        let meta = AccountMeta::decode(reader)?;
        let length = usize::from(reader.u16("length of a key")?);
        if length > MAX_SPKI_BYTES {
            return Err(DecodeError::TooLarge { what: "a key", size: length, max: MAX_SPKI_BYTES });
        }
        Ok(Self { address, account, meta, spki: reader.take("key", length)? })
    }

    fn check(&self, height: u64) -> Result<(), Defect> {
        let address = self.address;
        let touched = self.meta.last_touch.get();
        if touched > height {
            return Err(Defect::Disagrees { what: "last touch of an account", found: touched, expected: height });
        }
        let (next_nonce, key, place) = (self.account.next_nonce, !self.spki.is_empty(), self.meta.key.is_some());
        if key != (next_nonce > 0) || place != key {
            return Err(Defect::KeyPresence { address, next_nonce, key, place });
        }
        if key {
            let key = PublicKey::from_spki(self.spki).map_err(|source| Defect::Key { address, source })?;
            if key.address() != address {
                return Err(Defect::OtherKey { address, found: key.address() });
            }
        }
        Ok(())
    }
}
