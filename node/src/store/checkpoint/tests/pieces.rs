//! What peers are given of a checkpoint file.

use farthing::{
    checkpoint::{Layout, PieceRange, check_manifest, decode_accounts, decode_coinbases, encode_coinbases},
    merkle::{tx_path, tx_root},
};

use super::*;

/// A coinbase as the only leaf but one of its block.
fn proven(coinbase: &Coinbase) -> (farthing::checkpoint::ProvenCoinbase, Hash) {
    let leaves = [coinbase.leaf(), Hash::from_bytes([9; 32])];
    let path = tx_path(&leaves, 0).unwrap();
    (farthing::checkpoint::ProvenCoinbase { coinbase: coinbase.clone(), path }, tx_root(&leaves))
}

/// Like dev, with coinbases that wait.
fn params() -> Params {
    let fields = farthing::params::ParamsFields::clone(farthing::Network::Dev.params());
    Params::new(farthing::params::ParamsFields { reward_delay: 600, ..fields }).unwrap()
}

fn pieces(disk: &MemDisk, params: &Params, snapshot: &Snapshot) -> Pieces {
    let name = put(disk, params, snapshot).unwrap().name;
    let coinbase = |height| snapshot.view.immature.iter().find(|coinbase| coinbase.height == height);
    let prove = |height| coinbase(height).map(|coinbase| proven(coinbase).0);
    Pieces::of(disk, directory(), name, params, &prove).unwrap().unwrap()
}

#[test]
fn the_pieces_of_a_file_hold_every_account_and_every_coinbase_whatever_its_chunks() {
    let params = params();
    let snapshot = snapshot(&params, 700, 5_000);
    let disk = disk();
    let pieces = pieces(&disk, &params, &snapshot);
    let offer = pieces.offer().clone();
    assert_eq!((offer.height, offer.block), (snapshot.view.tip.height(), snapshot.view.tip.id()));
    let layout = Layout::new(&params, offer.height, offer.accounts).unwrap();
    assert_eq!(layout.pieces(), 2 + 3, "more than one of each kind");
    check_manifest(&offer.block, &layout, &offer.digest, pieces.hashes()).unwrap();
    let (mut accounts, mut coinbases, mut bytes, mut after) = (Vec::new(), Vec::new(), 0, None);
    for index in 0..layout.pieces() {
        let piece = pieces.piece(index).unwrap().unwrap();
        bytes += piece.len() as u64;
        match layout.piece(index).unwrap() {
            PieceRange::Coinbases { first, count } => {
                let waiting = snapshot.view.immature.iter().skip(first as usize).take(count as usize);
                let roots: Vec<_> = waiting.map(|coinbase| proven(coinbase).1).collect();
                coinbases.extend(decode_coinbases(&piece, Height::new(101 + first), &roots).unwrap());
            }
            PieceRange::Accounts { count, .. } => {
                accounts.extend(decode_accounts(&piece, count, after.as_ref()).unwrap());
                after = accounts.last().map(|last: &farthing::checkpoint::CheckpointAccount| last.address);
            }
        }
    }
    assert_eq!((pieces.piece(layout.pieces()).unwrap(), bytes), (None, offer.bytes));
    assert!(coinbases.iter().eq(snapshot.view.immature.iter().map(|coinbase| &**coinbase)));
    assert_eq!(accounts.len(), snapshot.view.accounts.len());
    for (read, (address, entry)) in accounts.iter().zip(&snapshot.view.accounts) {
        assert_eq!((&read.address, &read.account), (address, &entry.account));
        assert_eq!(read.key.is_some(), entry.account.next_nonce > 0);
    }
    // Nothing depends on how the file is laid out.
    let other = MemDisk::new();
    other.create_dir_all(directory()).unwrap();
    let limits = Limits { chunk_bytes: 777, ..LIMITS };
    let name = write(&other, directory(), &params, &snapshot, &key_of, limits, &|| false).unwrap().name;
    let none = |_| None;
    assert!(Pieces::of(&other, directory(), name, &params, &none).unwrap().is_none(), "no coinbase is proven");
    let prove = |height| snapshot.view.immature.iter().find(|one| one.height == height).map(|one| proven(one).0);
    let again = Pieces::of(&other, directory(), name, &params, &prove).unwrap().unwrap();
    assert_eq!(again.offer(), &offer);
    let first: Vec<_> = snapshot.view.immature.iter().take(500).map(|coinbase| proven(coinbase).0).collect();
    assert_eq!(again.piece(0).unwrap(), Some(encode_coinbases(&first)));
}

#[test]
fn a_file_that_was_damaged_since_gives_no_piece() {
    let params = params();
    let disk = disk();
    let snapshot = snapshot(&params, 700, 3_000);
    let pieces = pieces(&disk, &params, &snapshot);
    let path = directory().join(pieces.name().to_string());
    let length = disk.open_read(&path).unwrap().len().unwrap();
    disk.corrupt(&path, length / 2, 1).unwrap();
    let last = pieces.hashes().len() as u64 - 1;
    let damaged: Vec<_> = (0..=last).filter(|index| pieces.piece(*index).is_err()).collect();
    assert!(!damaged.is_empty() && !damaged.contains(&0), "{damaged:?}");
}
