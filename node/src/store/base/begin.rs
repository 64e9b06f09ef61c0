//! How a store begins with a checkpoint, and how it finds that again in the log.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::Arc,
};

use farthing::{
    Coinbase, Hash, Height, Mites, PublicKey, RangePeaks,
    checkpoint::{CheckpointAccount, CheckpointFault, PieceRange, decode_accounts, decode_coinbases},
    header::commitment,
};
use farthing_consensus::{AccountTree, Entry, HeaderContext, root_of_sorted};

use super::{BASE_HEADERS, Base, BasePlace, BeginError, Beginning, FETCHED_HEADERS, HeaderFile};
use crate::{
    ledger::{ChainView, range_leaf},
    store::{
        AccountMeta, DiskStore, LogPlace, StoreError,
        checkpoint::{self, CheckpointName, Limits, Snapshot},
        index::{BlockEntry, Op, Tree, height_key},
        log::{Kind, LogPosition, NewRecord},
    },
};

/// What frames, coinbases and the header range add to keys and accounts, with much to spare.
const ROOM_FOR_FRAMES: u64 = 1 << 20;

/// What index and range keep of each header, with something to spare: an entry of some 150 bytes under its id, the id under
/// its height, and two nodes of 72 bytes.
const ROOM_FOR_HEADER: u64 = 700;

/// Says of each of a piece's accounts where its key stands, if it has one.
pub(in crate::store) type PlaceKeys<'a> =
    dyn FnMut(&[CheckpointAccount]) -> Result<Vec<Option<LogPlace>>, StoreError> + 'a;

impl Beginning {
    /// The coinbases that are not yet credited, each proven by its header.
    pub(in crate::store) fn coinbases(&self) -> Result<VecDeque<Arc<Coinbase>>, BeginError> {
        let tip = self.headers.tip().height();
        let lowest = Height::new(tip.get().saturating_sub(self.layout.coinbases())).next();
        let mut coinbases = VecDeque::new();
        for index in 0..self.layout.pieces() {
            let Some(PieceRange::Coinbases { first, count }) = self.layout.piece(index) else { break };
            let from = lowest.saturating_add(first);
            let tx_roots = (0..count).map(|offset| self.tx_root(from.saturating_add(offset)));
            let tx_roots = tx_roots.collect::<Result<Vec<_>, _>>()?;
            let read = decode_coinbases(&self.pieces.piece(index)?, from, &tx_roots)?;
            coinbases.extend(read.into_iter().map(Arc::new));
        }
        Ok(coinbases)
    }

    fn tx_root(&self, height: Height) -> Result<Hash, StoreError> {
        let missing = || StoreError::BadChange(format!("no header at height {height} of the checkpoint's chain"));
        self.headers.at(height)?.map(|context| context.header().tx_root).ok_or_else(missing)
    }

    /// The header range up to the block before the checkpoint's.
    pub(in crate::store) fn range_before(&self) -> Result<RangePeaks, StoreError> {
        let mut range = RangePeaks::default();
        let overflow = |error: farthing::range::RangeOverflow| StoreError::BadChange(error.to_string());
        range.append(range_leaf(self.headers.parent())).map_err(overflow)?;
        let tip = self.headers.tip().height();
        self.headers.each_above(self.headers.parent().height(), &mut |contexts| {
            for context in contexts.iter().filter(|context| context.height() < tip) {
                range.append(range_leaf(context)).map_err(overflow)?;
            }
            Ok(())
        })?;
        Ok(range)
    }

    /// What `read` makes of each piece's accounts, one behind the other; ends early where there is a fault.
    fn of_accounts<'a, T: 'a>(
        &'a self,
        fault: &'a mut Option<BeginError>,
        mut read: impl FnMut(Vec<CheckpointAccount>) -> Result<Vec<T>, BeginError> + 'a,
    ) -> impl Iterator<Item = T> + 'a {
        let mut after = None;
        let pieces = (0..self.layout.pieces()).map_while(move |index| {
            let Some(PieceRange::Accounts { count, .. }) = self.layout.piece(index) else { return Some(Vec::new()) };
            let mut made = || -> Result<_, BeginError> {
                let accounts = decode_accounts(&self.pieces.piece(index)?, count, after.as_ref())?;
                after = accounts.last().map(|last| last.address);
                read(accounts)
            };
            made().map_err(|error| *fault = Some(error)).ok()
        });
        pieces.flatten()
    }

    /// Holds everything against the header piece by piece, and keeps none of it: whoever lies shall not fill the memory.
    pub(in crate::store) fn certify(&self, before: &RangePeaks) -> Result<(), BeginError> {
        let tip = *self.headers.tip();
        let mut supply = Mites::checked_sum(self.coinbases()?.iter().map(|coinbase| coinbase.amount));
        let mut fault = None;
        let accounts = self.of_accounts(&mut fault, |accounts| {
            Ok(accounts.into_iter().map(|read| (read.address, read.account)).collect())
        });
        let root = root_of_sorted(
            accounts.inspect(|(_, account)| supply = supply.and_then(|supply| supply.checked_add(account.balance))),
        );
        if let Some(fault) = fault {
            return Err(fault);
        }
        let root = root.map_err(|error| StoreError::BadChange(error.to_string()))?;
        let chain_root = before.chain_root().map_err(|error| StoreError::BadChange(error.to_string()))?;
        // What headers of valid blocks commit to cannot overflow; one that does is of no valid block.
        if supply.is_none() || commitment(&root, &chain_root) != tip.header().commitment {
            return Err(CheckpointFault::WrongAccounts { block: tip.id() }.into());
        }
        Ok(())
    }

    /// All accounts; `place` says of each piece's accounts where their keys stand.
    pub(in crate::store) fn accounts(&self, place: &mut PlaceKeys<'_>) -> Result<AccountTree<AccountMeta>, BeginError> {
        let last_touch = self.headers.tip().height();
        let mut fault = None;
        let entries = self.of_accounts(&mut fault, |accounts| {
            let places = place(&accounts)?;
            let entry = |(read, key): (CheckpointAccount, _)| {
                // When it was last touched no header says; nothing below the checkpoint is ever walked.
                (read.address, Entry { account: read.account, meta: AccountMeta { key, last_touch } })
            };
            Ok(accounts.into_iter().zip(places).map(entry).collect())
        });
        let tree = AccountTree::from_sorted(entries);
        match fault {
            Some(fault) => Err(fault),
            None => tree.map_err(|error| StoreError::BadChange(error.to_string()).into()),
        }
    }

    /// The ledger after the checkpoint's block, held against its header.
    pub(in crate::store) fn view(
        &self,
        accounts: AccountTree<AccountMeta>,
        before: &RangePeaks,
    ) -> Result<ChainView, BeginError> {
        let tip = *self.headers.tip();
        let immature = self.coinbases()?;
        let overflow = |error: farthing::range::RangeOverflow| StoreError::BadChange(error.to_string());
        let chain_root = before.chain_root().map_err(overflow)?;
        if commitment(&accounts.root(), &chain_root) != tip.header().commitment {
            return Err(CheckpointFault::WrongAccounts { block: tip.id() }.into());
        }
        let balances = accounts.iter().map(|(_, entry)| entry.account.balance);
        let supply = Mites::checked_sum(balances.chain(immature.iter().map(|coinbase| coinbase.amount)));
        // What headers of valid blocks commit to cannot overflow; one that does is of no valid block.
        let supply = supply.ok_or(CheckpointFault::WrongAccounts { block: tip.id() })?;
        let mut range = before.clone();
        range.append(range_leaf(&tip)).map_err(overflow)?;
        Ok(ChainView { tip, accounts, range, supply, immature })
    }
}

impl DiskStore {
    /// See [`Store::begin_at`](crate::store::Store::begin_at).
    pub(in crate::store) fn begin(&self, beginning: Beginning) -> Result<ChainView, BeginError> {
        self.poison.check()?;
        self.require_empty()?;
        let before = beginning.range_before()?;
        // All of it is certified before any of it is kept; the pieces are read twice, for not even a liar's keys
        // shall get into the log. Nor shall they where the rest would not fit behind them.
        beginning.certify(&before)?;
        self.require_room(&beginning)?;
        let tip = *beginning.headers.tip();
        let accounts = beginning.accounts(&mut |accounts| self.append_keys(&tip, accounts))?;
        let view = beginning.view(accounts, &before)?;
        let name = self.write_base(&view, before)?;
        let base = Base { tip, coinbases: view.immature.iter().cloned().collect() };
        let headers = beginning.headers.settle_as(&self.base_headers())?;
        let record = NewRecord { kind: Kind::Base, height: tip.height(), id: tip.id(), contents: base.contents() };
        let appended = self.log.append(&[record])?;
        let place = appended.places.first().copied().ok_or_else(|| StoreError::BadChange("no place".to_owned()))?;
        self.take_base(&BasePlace { height: tip.height(), id: tip.id(), place }, appended.end, &headers)?;
        self.set_base(base);
        if let Some(checkpoints) = self.checkpoints.get() {
            checkpoints.begins_with(name, tip);
        }
        Ok(view)
    }

    /// Room for the keys in the log and for the checkpoint's file, which hold no more than the pieces do, and for the headers in
    /// index and range: once the record is durable there is no way back.
    fn require_room(&self, beginning: &Beginning) -> Result<(), StoreError> {
        let path = &self.data_dir;
        let free = self.disk.free_space(path).map_err(StoreError::io("asking for free space", path))?;
        let free = free.saturating_sub(self.reserve_bytes);
        let needed = beginning.pieces.size_bytes().saturating_mul(2).saturating_add(ROOM_FOR_FRAMES);
        let headers = beginning.headers.tip().height().get().saturating_mul(ROOM_FOR_HEADER);
        let needed = needed.saturating_add(headers);
        if free < needed { Err(StoreError::DiskFull { path: path.clone(), needed, free }) } else { Ok(()) }
    }

    fn require_empty(&self) -> Result<(), BeginError> {
        let state = self.lock_state();
        match state.tip {
            Some((_, Height::GENESIS)) if state.counts.blocks == 1 => Ok(()),
            tip => Err(BeginError::NotEmpty(tip.map_or(Height::GENESIS, |(_, height)| height))),
        }
    }

    /// Puts the keys of a piece's accounts into the log, and says where each stands.
    fn append_keys(
        &self,
        tip: &HeaderContext,
        accounts: &[CheckpointAccount],
    ) -> Result<Vec<Option<LogPlace>>, StoreError> {
        let (mut contents, mut within) = (Vec::new(), Vec::with_capacity(accounts.len()));
        for account in accounts {
            within.push(account.key.as_ref().map(|_| contents.len()));
            contents.extend_from_slice(account.key.as_ref().map_or(&[], PublicKey::as_spki));
        }
        if contents.is_empty() {
            return Ok(vec![None; accounts.len()]);
        }
        let mut state = self.lock_state();
        let record = NewRecord { kind: Kind::Keys, height: tip.height(), id: tip.id(), contents };
        let appended = self.log.append(&[record])?;
        state.position = appended.end;
        let first = appended.places.first().copied();
        let place = |offset: usize| first.and_then(|first| first.behind(offset));
        Ok(within.into_iter().map(|within| within.and_then(place)).collect())
    }

    /// Writes the checkpoint that the chain begins with, as any other.
    fn write_base(&self, view: &ChainView, before: RangePeaks) -> Result<CheckpointName, StoreError> {
        let directory = self.data_dir.join("checkpoints");
        let position = self.lock_state().position;
        let synced_to = LogPlace::new(position.segment, position.offset);
        let snapshot = Snapshot { view: Arc::new(view.clone()), before, synced_to };
        let key_of = |place: LogPlace, address: &_| crate::store::Store::key_at(self, &place, address);
        let limits = Limits::leaving(self.reserve_bytes);
        let written = checkpoint::write(&*self.disk, &directory, &self.params, &snapshot, &key_of, limits, &|| false);
        written.map(|written| written.name).map_err(|error| StoreError::Beginning(Box::new(error)))
    }

    /// Brings index and range from genesis to the block that the chain begins with. Its record is durable.
    pub(in crate::store) fn take_base(
        &self,
        base: &BasePlace,
        end: LogPosition,
        headers: &HeaderFile,
    ) -> Result<(), StoreError> {
        let taken = || -> Result<(), StoreError> {
            self.index_base(headers)?;
            let mut state = self.lock_state();
            let blocks = base.height.get();
            state.counts.blocks += blocks;
            state.counts.heights += blocks;
            state.tip = Some((base.id, base.height));
            state.base = Some(*base);
            state.position = end;
            self.index.submit(Vec::new(), Some(state.marker(false)))
        };
        taken().map_err(|error| match error {
            StoreError::BaseLost { .. } => error,
            error if error.is_fatal() => error,
            error => self.poison.set(StoreError::Index(error.to_string())),
        })
    }

    /// Puts headers without bodies into the index and the range, those of the best chain above genesis.
    fn index_base(&self, headers: &HeaderFile) -> Result<(), StoreError> {
        let mut range = RangePeaks::default();
        let overflow = |error: farthing::range::RangeOverflow| StoreError::BadChange(error.to_string());
        let nodes = range.append(range_leaf(headers.parent())).map_err(overflow)?;
        self.range.put(0, &nodes)?;
        headers.each_above(Height::GENESIS, &mut |contexts| {
            let (kept, mut nodes, mut ops) = (range.count(), Vec::new(), Vec::with_capacity(2 * contexts.len()));
            for context in contexts {
                nodes.extend(range.append(range_leaf(context)).map_err(overflow)?);
                let (id, entry) = (context.id(), BlockEntry::of_header(context));
                ops.push(Op { tree: Tree::Blocks, key: id.as_bytes().to_vec(), value: Some(entry.encode()) });
                let (key, value) = (height_key(context.height()), Some(id.as_bytes().to_vec()));
                ops.push(Op { tree: Tree::Heights, key, value });
            }
            self.range.put(kept, &nodes)?;
            self.index.submit(ops, None)
        })
    }

    /// Takes the record with which the chain begins, as the log was read.
    pub(in crate::store) fn take_base_again(&self, base: &BasePlace, end: LogPosition) -> Result<(), StoreError> {
        let path = self.base_headers();
        let lost = |reason: &str| StoreError::BaseLost { path: path.clone(), reason: reason.to_owned() };
        let there = |path: &Path| self.disk.exists(path).map_err(StoreError::io("looking for a file of headers", path));
        let open = |path: &Path| HeaderFile::open(&self.disk, path, HeaderContext::genesis(&self.params));
        let fits = |headers: &HeaderFile| headers.tip().id() == base.id && headers.tip().height() == base.height;
        let fetched = self.data_dir.join(FETCHED_HEADERS);
        let headers = if there(&path)? {
            open(&path)?
        } else if there(&fetched)? {
            // Whoever stopped before it knew whether the record is on the disk may have taken the name back.
            let headers = open(&fetched)?;
            if fits(&headers) { headers.settle_as(&path)? } else { return Err(lost("it is missing")) }
        } else {
            return Err(lost("it is missing"));
        };
        if !fits(&headers) {
            return Err(lost("it does not end with the block that the chain begins with"));
        }
        self.take_base(base, end, &headers)
    }

    /// Reads what the record in the log says, once the index has been brought to the log's end.
    pub(in crate::store) fn load_base(&self) -> Result<(), StoreError> {
        let Some(BasePlace { height, id, place }) = self.lock_state().base else { return Ok(()) };
        let damaged = |reason: String| StoreError::Unreadable {
            path: self.data_dir.join("blocks"),
            reason: format!("the record with which the chain begins {reason}; {}", StoreError::BEGIN_AGAIN),
        };
        let contents =
            self.log.read(Kind::Base, &id, place).map_err(|error| damaged(format!("is damaged: {error}")))?;
        let coinbases = Base::coinbases_from(&contents).map_err(|error| damaged(error.to_string()))?;
        let entry = self.entry_of(&id)?;
        let entry = entry.ok_or_else(|| StoreError::IndexDamaged(format!("there is no block at height {height}")))?;
        self.set_base(Base { tip: entry.context(), coinbases });
        Ok(())
    }

    pub(in crate::store) fn base_headers(&self) -> PathBuf {
        self.data_dir.join(BASE_HEADERS)
    }
}
