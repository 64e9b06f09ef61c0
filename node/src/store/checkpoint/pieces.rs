//! A checkpoint file as peers are given it: cut into the pieces that the protocol has, each made from the file when it
//! is asked for. One pass over the file finds where each piece begins and what its hash is.

use std::{path::Path, sync::Arc};

use farthing::{
    BlockId, Hash, Height, Params, PublicKey,
    checkpoint::{
        CheckpointAccount, Layout, PIECE_ACCOUNTS, PIECE_COINBASES, ProvenCoinbase, digest, encode_accounts,
        encode_coinbases, piece_hash,
    },
    codec::Reader,
};

use super::{
    CheckpointName, Defect, Head,
    frame::{ChunkReader, Kind, read_chunk},
    read::{Record, open},
};
use crate::env::{Disk, DiskFile};

/// What a node has to give of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Height of its block.
    pub height: Height,
    /// The block.
    pub block: BlockId,
    /// Accounts in it.
    pub accounts: u64,
    /// Bytes of all its pieces.
    pub bytes: u64,
    /// Names its bytes.
    pub digest: Hash,
}

/// The pieces of one checkpoint file.
#[derive(Debug)]
pub(in crate::store) struct Pieces {
    name: CheckpointName,
    offer: Offer,
    hashes: Vec<Hash>,
    /// Those with coinbases, which no file holds.
    of_coinbases: Vec<Vec<u8>>,
    /// Where the accounts of each further piece begin.
    places: Vec<Place>,
    file: Arc<dyn DiskFile>,
}

/// The first account of a piece: a chunk of the file, and a byte of its payload.
#[derive(Debug, Clone, Copy)]
struct Place {
    chunk: u64,
    within: usize,
}

impl Pieces {
    /// Reads a file once. None if a coinbase cannot be proven, for the block is not here.
    pub(in crate::store) fn of(
        disk: &dyn Disk,
        directory: &Path,
        name: CheckpointName,
        params: &Params,
        prove: &dyn Fn(Height) -> Option<ProvenCoinbase>,
    ) -> Result<Option<Self>, Defect> {
        let path = directory.join(name.to_string());
        let mut chunks = open(disk, &path, params.genesis_id())?;
        if chunks.next()? != Kind::Head {
            return Err(Defect::NotACheckpoint);
        }
        let head = Head::read(chunks.payload())?;
        let (height, block, accounts) = (head.tip.height(), head.tip.id(), head.accounts);
        let Ok(layout) = Layout::new(params, height, accounts) else { return Ok(None) };
        let Some(of_coinbases) = coinbases(height, layout, prove) else { return Ok(None) };
        let (places, mut hashes, mut bytes) = accounts_of(chunks)?;
        bytes += of_coinbases.iter().map(|piece| piece.len() as u64).sum::<u64>();
        hashes.splice(0..0, of_coinbases.iter().map(|piece| piece_hash(piece)));
        if hashes.len() as u64 != layout.pieces() {
            let (found, expected) = (hashes.len() as u64, layout.pieces());
            return Err(Defect::Disagrees { what: "pieces", found, expected });
        }
        let offer = Offer { height, block, accounts, bytes, digest: digest(&block, accounts, &hashes) };
        Ok(Some(Self { name, offer, hashes, of_coinbases, places, file: disk.open_read(&path)? }))
    }

    pub(in crate::store) const fn name(&self) -> CheckpointName {
        self.name
    }

    pub(in crate::store) const fn offer(&self) -> &Offer {
        &self.offer
    }

    pub(in crate::store) fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// A piece; none behind the last.
    ///
    /// # Errors
    /// When the file is no longer what it was.
    pub(in crate::store) fn piece(&self, index: u64) -> Result<Option<Vec<u8>>, Defect> {
        let Ok(index) = usize::try_from(index) else { return Ok(None) };
        if let Some(piece) = self.of_coinbases.get(index) {
            return Ok(Some(piece.clone()));
        }
        let Some(place) = self.places.get(index - self.of_coinbases.len()) else { return Ok(None) };
        let bytes = self.read(*place)?;
        if self.hashes.get(index) != Some(&piece_hash(&bytes)) {
            return Err(Defect::Chunk(place.chunk));
        }
        Ok(Some(bytes))
    }

    /// The chunks' checksums hang together from the front; the piece's hash is held to what that gave.
    fn read(&self, place: Place) -> Result<Vec<u8>, Defect> {
        let (mut at, mut within, mut accounts) = (place.chunk, place.within, Vec::new());
        while accounts.len() as u64 != PIECE_ACCOUNTS {
            let Some((payload, next)) = read_chunk(&*self.file, at, Kind::Accounts)? else { break };
            let mut reader = Reader::new(payload.get(within..).unwrap_or_default());
            while reader.remaining() > 0 && accounts.len() as u64 != PIECE_ACCOUNTS {
                accounts.push(account(&mut reader)?);
            }
            (at, within) = (next, 0);
        }
        Ok(encode_accounts(&accounts))
    }
}

fn account(reader: &mut Reader<'_>) -> Result<CheckpointAccount, Defect> {
    let record = Record::decode(reader).map_err(|source| Defect::Decode { what: "an account", source })?;
    let address = record.address;
    let key = (!record.spki.is_empty()).then(|| PublicKey::from_spki(record.spki)).transpose();
    let key = key.map_err(|source| Defect::Key { address, source })?;
    Ok(CheckpointAccount { address, account: record.account, key })
}

/// Where the pieces with accounts begin, their hashes, and their bytes in all.
fn accounts_of(mut chunks: ChunkReader) -> Result<(Vec<Place>, Vec<Hash>, u64), Defect> {
    let (mut places, mut hashes, mut bytes) = (Vec::new(), Vec::new(), 0);
    let mut accounts = Vec::new();
    let mut finish = |accounts: &mut Vec<CheckpointAccount>| {
        let piece = encode_accounts(accounts);
        bytes += piece.len() as u64;
        hashes.push(piece_hash(&piece));
        accounts.clear();
    };
    loop {
        let chunk = chunks.position();
        match chunks.next()? {
            Kind::Accounts => {}
            Kind::End => break,
            Kind::Head => return Err(Defect::Chunk(chunk)),
        }
        let mut reader = Reader::new(chunks.payload());
        while reader.remaining() > 0 {
            if accounts.is_empty() {
                places.push(Place { chunk, within: chunks.payload().len() - reader.remaining() });
            }
            accounts.push(account(&mut reader)?);
            if accounts.len() as u64 == PIECE_ACCOUNTS {
                finish(&mut accounts);
            }
        }
    }
    if !accounts.is_empty() {
        finish(&mut accounts);
    }
    Ok((places, hashes, bytes))
}

/// The pieces with coinbases.
fn coinbases(height: Height, layout: Layout, prove: &dyn Fn(Height) -> Option<ProvenCoinbase>) -> Option<Vec<Vec<u8>>> {
    let lowest = height.get() - layout.coinbases() + 1;
    let proven = (lowest..=height.get()).map(|height| prove(Height::new(height))).collect::<Option<Vec<_>>>()?;
    let size = usize::try_from(PIECE_COINBASES).unwrap_or(usize::MAX);
    Some(proven.chunks(size).map(encode_coinbases).collect())
}
