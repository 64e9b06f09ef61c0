//! Short ids against a second implementation, and blocks that come together whatever the pool holds.

use std::sync::LazyLock;

use farthing::{
    Address, Block, BlockId, Coinbase, Hash, Header, Height, Mites, SignedTransaction, WireId, codec::Canonical as _,
    limits::MIN_TRANSACTION_BYTES, wire::peer as wire,
};
use proptest::prelude::*;
use serde_json::Value;

use super::{
    CompactBlock,
    block::MAX_COINBASE_BYTES,
    draft::{Draft, Unfit},
    short_id::{Salt, ShortIdKey},
};
use crate::{
    peers::{
        blame::Misdeed,
        convert::{BlockPlaces, Malformed, block_transactions_from_wire},
        limits::MAX_BLOCK_INDEXES,
    },
    testing::{ALICE, BOB, dev},
};

const ROOM: usize = 4 << 20;

static TRANSFERS: LazyLock<Vec<SignedTransaction>> =
    LazyLock::new(|| (0..40).map(|nonce| ALICE.pay(nonce, BOB.address(), 1)).collect());

fn block_of(transactions: Vec<SignedTransaction>) -> Block {
    let coinbase =
        Coinbase { height: Height::new(7), to: Address::from_bytes([3; 32]), amount: Mites::new(5), tag: vec![1, 2] };
    let header = Header { tx_root: Hash::ZERO, ..dev().genesis().header };
    let mut block = Block { header, coinbase, transactions };
    block.header.tx_root = block.tx_root();
    block
}

fn compact(block: &Block, salt: Salt) -> CompactBlock {
    CompactBlock::with_salt(block, salt).unwrap()
}

#[test]
fn short_ids_are_those_of_the_second_implementation() {
    let json: Value = serde_json::from_str(include_str!("../../../../tests/vectors/short_ids.json")).unwrap();
    let text = |value: &Value| hex::decode(value.as_str().unwrap()).unwrap();
    let cases = json["short_ids"].as_array().unwrap();
    assert!(cases.len() >= 4);
    for case in cases {
        let header = Header::from_canonical(&text(&case["header"])).unwrap();
        let key = ShortIdKey::new(&header, &text(&case["salt"]).try_into().unwrap());
        let (wire_ids, short_ids) = (case["wire_ids"].as_array().unwrap(), case["short_ids"].as_array().unwrap());
        assert!(wire_ids.len() == short_ids.len() && !wire_ids.is_empty());
        for (wire_id, short_id) in wire_ids.iter().zip(short_ids) {
            let id = WireId::from_bytes(text(wire_id).try_into().unwrap());
            assert_eq!(key.short_id(&id).as_bytes().as_slice(), text(short_id), "{case}");
        }
    }
}

#[test]
fn a_block_with_one_transaction_twice_has_no_compact_form() {
    let transfer = TRANSFERS[0].clone();
    let block = block_of(vec![transfer.clone(), transfer]);
    assert_eq!(CompactBlock::with_salt(&block, [1; 8]), None);
    assert_eq!(CompactBlock::of(&block, &**crate::env::Env::system().unwrap().random()), None);
}

#[test]
fn two_known_transactions_with_one_short_id_are_a_collision() {
    let block = block_of(TRANSFERS[..3].to_vec());
    let compact = compact(&block, [9; 8]);
    let of_second = compact.short_ids[1];
    let mut draft = Draft::new(compact);
    block.transactions.iter().for_each(|transfer| draft.put(transfer));
    assert!(!draft.has_collided());
    draft.put_as(of_second, &TRANSFERS[1]);
    assert!(!draft.has_collided(), "the same one again is none");
    draft.put_as(of_second, &TRANSFERS[20]);
    assert!(draft.has_collided());
    assert_eq!(draft.finish(), Err(Unfit::Collision));
}

#[test]
fn what_the_sender_adds_must_be_what_it_was_asked_for() {
    let block = block_of(TRANSFERS[..3].to_vec());
    let mut draft = Draft::new(compact(&block, [9; 8]));
    draft.put(&TRANSFERS[1]);
    assert_eq!(draft.missing(), [0, 2]);
    let add = |draft: &mut Draft, which: &[usize]| {
        draft.add(&[0, 2], which.iter().map(|at| TRANSFERS[*at].clone()).collect())
    };
    assert_eq!(add(&mut draft, &[0]), Err(Misdeed::WrongAnswer("another number of transactions")));
    assert_eq!(add(&mut draft, &[0, 5]), Err(Misdeed::WrongAnswer("a transaction with another short id")));
    assert_eq!(add(&mut draft, &[2, 0]), Err(Misdeed::WrongAnswer("a transaction with another short id")));
    assert_eq!(add(&mut draft, &[0, 2]), Ok(()));
    assert_eq!(draft.finish(), Ok(block));
}

fn read(change: impl FnOnce(&mut wire::CompactBlock)) -> Result<CompactBlock, Malformed> {
    let mut compact = compact(&block_of(TRANSFERS[..3].to_vec()), [9; 8]).to_wire();
    change(&mut compact);
    CompactBlock::from_wire(&compact, ROOM)
}

#[test]
fn a_malformed_compact_block_is_refused_and_says_what_is_wrong() {
    let error = |change: fn(&mut wire::CompactBlock)| read(change).unwrap_err().to_string();
    assert!(read(|_| {}).is_ok());
    assert_eq!(
        error(|compact| compact.header = vec![0; 117].into()),
        "compact_block.header has 117 bytes, expected 118"
    );
    assert_eq!(error(|compact| compact.salt = vec![0; 9].into()), "compact_block.salt has 9 bytes, expected 8");
    assert_eq!(
        error(|compact| compact.coinbase = vec![0; MAX_COINBASE_BYTES + 1].into()),
        "compact_block.coinbase has 117 items, at most 116 are allowed"
    );
    assert!(error(|compact| compact.coinbase = vec![0; 3].into()).starts_with("compact_block.coinbase: "));
    assert_eq!(
        error(|compact| compact.short_ids = vec![0; 7].into()),
        "compact_block.short_ids is not a multiple of 6 bytes"
    );
    assert_eq!(error(|compact| compact.short_ids = vec![0; 12].into()), "compact_block.short_ids is not all different");
}

#[test]
fn more_short_ids_than_a_block_has_room_for_are_refused() {
    let block = block_of(Vec::new());
    let empty = block.size_bytes();
    let with = |count: u32| {
        let mut compact = compact(&block, [9; 8]).to_wire();
        let ids = (0..count).flat_map(|id| [0_u8; 2].into_iter().chain(id.to_le_bytes()));
        compact.short_ids = ids.collect::<Vec<u8>>().into();
        CompactBlock::from_wire(&compact, empty + 10 * MIN_TRANSACTION_BYTES + MIN_TRANSACTION_BYTES - 1)
    };
    assert_eq!(with(10).unwrap().len(), 10);
    assert_eq!(with(11), Err(Malformed::TooMany { field: "compact_block.short_ids", found: 11, max: 10 }));
}

#[test]
fn places_are_bounded_and_strictly_ascending() {
    let read = |indexes: Vec<u32>| {
        let places = BlockPlaces { block: BlockId::from_bytes([7; 32]), indexes };
        BlockPlaces::from_wire(Some(places.to_wire())).map(|read| assert_eq!(read, places))
    };
    let field = "block_transactions.indexes";
    let most = u32::try_from(MAX_BLOCK_INDEXES).unwrap();
    assert_eq!(read((0..most).collect()), Ok(()));
    let (found, max) = (MAX_BLOCK_INDEXES + 1, MAX_BLOCK_INDEXES);
    assert_eq!(read((0..=most).collect()), Err(Malformed::TooMany { field, found, max }));
    assert_eq!(read(Vec::new()), Err(Malformed::Empty { field }));
    for indexes in [vec![3, 3], vec![4, 3]] {
        assert_eq!(read(indexes), Err(Malformed::NotA { field, expected: "strictly ascending" }));
    }
}

proptest! {
    #[test]
    fn a_block_comes_together_from_any_pool(
        order in Just((0..40_usize).collect::<Vec<_>>()).prop_shuffle(),
        count in 0_usize..40,
        pooled in prop::collection::vec(any::<bool>(), 40),
        salt: Salt,
    ) {
        let block = block_of(order[..count].iter().map(|at| TRANSFERS[*at].clone()).collect());
        let sent = compact(&block, salt).to_wire();
        let mut draft = Draft::new(CompactBlock::from_wire(&sent, ROOM).unwrap());
        for (transfer, _) in TRANSFERS.iter().zip(&pooled).filter(|(_, here)| **here) {
            draft.put(transfer);
        }
        let missing = draft.missing();
        let expected: Vec<_> = (0..count).filter(|place| !pooled[order[*place]]).map(|place| place as u32).collect();
        prop_assert_eq!(&missing, &expected, "only what is missing is asked for");
        let added: Vec<u8> = missing.iter().flat_map(|at| block.transactions[*at as usize].to_canonical()).collect();
        draft.add(&missing, block_transactions_from_wire(&added, missing.len()).unwrap()).unwrap();
        prop_assert_eq!(draft.finish(), Ok(block));
    }

    /// To the receiver a collision is a short id that one of its own transactions has too.
    #[test]
    fn a_pool_that_holds_another_transaction_with_the_same_short_id_leads_to_the_whole_block(
        count in 1_usize..20,
        at: prop::sample::Index,
        salt: Salt,
    ) {
        let block = block_of(TRANSFERS[..count].to_vec());
        let mut compact = compact(&block, salt);
        let (at, other) = (at.index(count), &TRANSFERS[30]);
        compact.short_ids[at] = compact.key().short_id(&other.wire_id());
        let mut draft = Draft::new(compact);
        TRANSFERS.iter().for_each(|transfer| draft.put(transfer));
        prop_assert!(draft.missing().is_empty());
        prop_assert_eq!(draft.finish(), Err(Unfit::OtherRoot));
    }

    #[test]
    fn no_bytes_make_reading_panic(header: Vec<u8>, salt: Vec<u8>, coinbase: Vec<u8>, ids: Vec<u8>, count in 0_usize..9) {
        let good = compact(&block_of(Vec::new()), [9; 8]).to_wire();
        let bytes = ids.clone();
        let ids = wire::CompactBlock { short_ids: ids.into(), ..good };
        let _ = CompactBlock::from_wire(&ids, ROOM);
        let _ = block_transactions_from_wire(&bytes, count);
        let all = wire::CompactBlock { header: header.into(), salt: salt.into(), coinbase: coinbase.into(), ..ids };
        let _ = CompactBlock::from_wire(&all, ROOM);
    }
}
