//! What a reader must not bear.

use farthing::{
    Address, BlockId, Params,
    wire::v1::{
        BlockHeader, BlockUndo, BlockView, Coinbase, Progress, SubscribeBlocksResponse,
        subscribe_blocks_response::Event,
    },
};

use super::{
    model::Model,
    state::{State, Step, digest},
};
use crate::harness::networks;

fn block(number: u8, on: BlockId, height: u64) -> Event {
    let header = BlockHeader { previous: on.to_bytes().to_vec().into(), ..BlockHeader::default() };
    let coinbase = Coinbase { address: vec![9; 32].into(), amount_mites: 5, ..Coinbase::default() };
    Event::Apply(BlockView {
        block_id: vec![number; 32].into(),
        height,
        header: Some(header),
        coinbase: Some(coinbase),
        ..BlockView::default()
    })
}

fn undo(id: BlockId, height: u64) -> Event {
    Event::Undo(BlockUndo { block_id: id.to_bytes().to_vec().into(), height, ..BlockUndo::default() })
}

const fn id(number: u8) -> BlockId {
    BlockId::from_bytes([number; 32])
}

/// A reader behind genesis that has taken block 1.
fn behind_one() -> (std::sync::Arc<Params>, Model, State) {
    let params = networks::moving();
    let model = Model::new(&params);
    let mut state = State::behind(&model, *params.genesis_id()).expect("genesis is known");
    let first = block(1, *params.genesis_id(), 1);
    assert_eq!(state.take(&params, &model, Some(&first)), Ok(Step::Applied));
    (params, model, state)
}

#[test]
fn a_gap_a_repeat_and_a_wrong_parent_are_found() {
    let (params, model, mut state) = behind_one();
    for wrong in [block(3, id(2), 3), block(1, *params.genesis_id(), 1), block(2, id(7), 2), block(2, id(1), 3)] {
        assert!(state.take(&params, &model, Some(&wrong)).is_err(), "{wrong:?}");
    }
    assert_eq!(state.take(&params, &model, Some(&block(2, id(1), 2))), Ok(Step::Applied));
}

#[test]
fn an_undo_of_another_block_than_the_last_is_found_and_a_right_one_takes_its_coins_back() {
    let (params, model, mut state) = behind_one();
    for wrong in [undo(id(2), 1), undo(*params.genesis_id(), 0), undo(id(1), 2)] {
        assert!(state.take(&params, &model, Some(&wrong)).is_err(), "{wrong:?}");
    }
    let before = State::behind(&model, *params.genesis_id()).expect("genesis is known").digest(&model);
    assert_ne!(state.digest(&model), before);
    assert_eq!(state.take(&params, &model, Some(&undo(id(1), 1))), Ok(Step::Undone));
    assert_eq!(state.digest(&model), before);
    assert_eq!(state.take(&params, &model, Some(&undo(id(1), 1))).ok(), None, "twice");
}

#[test]
fn a_frame_without_an_event_is_found_and_one_of_progress_tells_where_a_stream_begins() {
    let (params, model, mut state) = behind_one();
    assert!(state.take(&params, &model, None).is_err());
    let cursor = [&[1][..], &0_u64.to_le_bytes(), params.genesis_id().as_bytes()].concat();
    let event = Some(Event::Progress(Progress {}));
    let frame = SubscribeBlocksResponse { cursor: cursor.into(), event, ..SubscribeBlocksResponse::default() };
    let begun = State::before(&model, &frame).expect("a place");
    assert_eq!((begun.last(), begun.next_height()), (Some(*params.genesis_id()), 1));
}

#[test]
fn the_hash_tells_orders_owners_and_amounts_apart() {
    let (alice, bob) = (Address::from_bytes([1; 32]), Address::from_bytes([2; 32]));
    let hash = |ids: &[u8], balances: &[(Address, i128)]| {
        let ids: Vec<_> = ids.iter().map(|number| id(*number)).collect();
        digest(&ids, &balances.iter().copied().collect())
    };
    let one = hash(&[1, 2], &[(alice, 5), (bob, 6)]);
    for other in [
        hash(&[2, 1], &[(alice, 5), (bob, 6)]),
        hash(&[1], &[(alice, 5), (bob, 6)]),
        hash(&[1, 2], &[(alice, 6), (bob, 5)]),
        hash(&[1, 2], &[(alice, 11)]),
    ] {
        assert_ne!(one, other);
    }
}
