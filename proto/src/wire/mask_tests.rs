//! Masks against blocks and entries.

use prost::Message as _;

use super::*;
use crate::{
    Height,
    params::Network,
    wire::{BlockPlace, block_view, samples, v1},
};

fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

fn read<M: Masked>(paths: &[&str]) -> Result<ReadMask<M>, String> {
    ReadMask::read(mask(paths).as_ref()).map_err(|error| error.to_string())
}

fn block() -> v1::BlockView {
    let mut block = Network::Dev.params().genesis().clone();
    block.transactions = vec![samples::transfer(1, 1), samples::transfer(0, 2)];
    let (id, height, total_work) = (block.id(), Height::new(7), crate::Work::new(9));
    let place = BlockPlace { block: &block, id, tx_ids: None, height, total_work, confirmations: 3 };
    block_view(Network::Dev.params(), &place, false)
}

fn masked(paths: &[&str]) -> v1::BlockView {
    let mut view = block();
    read(paths).unwrap().apply(&mut view);
    view
}

/// Every path that names a field, the deepest ones too.
fn paths(shape: &Shape) -> Vec<String> {
    let below = |field: &Field| field.of.map(paths).unwrap_or_default();
    let paths = |field: &Field| {
        let name = field.name.to_owned();
        let deeper = below(field).into_iter().map(|path| format!("{name}.{path}")).collect::<Vec<_>>();
        [vec![name], deeper].concat()
    };
    shape.fields.iter().flat_map(paths).collect()
}

#[test]
fn without_paths_everything_is_sent() {
    assert_eq!(masked(&[]), block());
    let mut view = block();
    ReadMask::read(None).unwrap().apply(&mut view);
    assert_eq!(view, block());
}

#[test]
fn a_path_keeps_what_it_names_also_below_messages_and_through_lists() {
    let whole = block();
    let expected = v1::BlockView { height: 7, header: whole.header.clone(), ..Default::default() };
    assert_eq!(masked(&["height", "header"]), expected);
    let header = Some(v1::BlockHeader { bits: whole.header.unwrap().bits, ..Default::default() });
    assert_eq!(masked(&["header.bits"]), v1::BlockView { header, ..Default::default() });
    let amounts = |view: &v1::TransactionView| {
        let outputs = &view.transaction.as_ref().unwrap().outputs;
        let only = |output: &v1::TransactionOutput| v1::TransactionOutput {
            amount_mites: output.amount_mites,
            ..Default::default()
        };
        let outputs = outputs.iter().map(only).collect();
        let transaction = Some(v1::Transaction { outputs, ..Default::default() });
        v1::TransactionView { transaction, ..Default::default() }
    };
    let transactions = whole.transactions.iter().map(amounts).collect();
    let kept = masked(&["transactions.transaction.outputs.amount_mites"]);
    assert_eq!(kept, v1::BlockView { transactions, ..Default::default() });
}

#[test]
fn what_contains_a_path_already_is_not_narrowed_by_it() {
    for paths in [["header", "header.bits"], ["header.bits", "header"]] {
        assert_eq!(masked(&paths), v1::BlockView { header: block().header, ..Default::default() });
    }
}

#[test]
fn of_a_choice_only_the_member_that_is_named_is_sent() {
    let kept = masked(&["transactions.transaction.sender_address"]);
    let senders: Vec<_> = kept.transactions.iter().map(|view| view.transaction.clone().unwrap().sender).collect();
    // The first is from an address, the second from a key.
    assert!(matches!(senders.as_slice(), [Some(v1::transaction::Sender::SenderAddress(_)), None]), "{senders:?}");
    let cause = |cause, paths: &[&str]| {
        let mut entry = v1::AccountEntry { cause: Some(cause), ..Default::default() };
        read(paths).unwrap().apply(&mut entry);
        entry.cause
    };
    let reward = v1::Coinbase { amount_mites: 5, height: 3, ..Default::default() };
    let of_reward = |paths| cause(v1::account_entry::Cause::Coinbase(reward.clone()), paths);
    let amount = v1::Coinbase { amount_mites: 5, ..Default::default() };
    assert_eq!(of_reward(&["coinbase.amount_mites"]), Some(v1::account_entry::Cause::Coinbase(amount)));
    assert_eq!(of_reward(&["transaction"]), None);
}

#[test]
fn the_masks_of_all_single_fields_together_are_the_whole_block() {
    let all = paths(const { &v1::BlockView::SHAPE });
    assert_eq!(all.len(), 42, "{all:?}");
    // On the wire messages with the same field merge, and lists are appended: so the top level is enough.
    let fields = v1::BlockView::SHAPE.fields.iter();
    let parts: Vec<_> = fields.flat_map(|field| masked(&[field.name]).encode_to_vec()).collect();
    assert_eq!(v1::BlockView::decode(parts.as_slice()).unwrap(), block());
    // And below it each path leaves something, but for what these blocks do not have.
    for path in all.iter().filter(|path| !masked(&[path]).encode_to_vec().is_empty()) {
        assert!(masked(&[path]).encoded_len() <= block().encoded_len(), "{path}");
        let chosen: Vec<&str> = path.split('.').collect();
        for at in 1..=chosen.len() {
            let above = chosen.get(..at).unwrap().join(".");
            let mut view = masked(&[&above]);
            read(&[path]).unwrap().apply(&mut view);
            assert_eq!(view, masked(&[path]), "{path} of {above}");
        }
    }
}

#[test]
fn every_field_that_can_be_named_fits_a_mask_and_none_else_can() {
    for shape in [
        const { &v1::BlockView::SHAPE },
        const { &v1::GetTransactionResponse::SHAPE },
        const { &v1::MempoolEntry::SHAPE },
        const { &v1::AccountEntry::SHAPE },
    ] {
        let all = paths(shape);
        assert!(all.len() <= MAX_MASK_PATHS && all.iter().all(|path| path.len() <= MAX_MASK_PATH_BYTES), "{all:?}");
        assert!(all.iter().all(|path| shape.resolve(path).is_ok()));
    }
    let refused = |path: &str| read::<v1::BlockView>(&["height", path]).unwrap_err();
    assert_eq!(
        refused("coinbase.adress"),
        "read_mask: \"coinbase.adress\" names nothing: Coinbase has no such field; expected one of height, address, \
         amount_mites, tag"
    );
    assert_eq!(refused("height.value"), "read_mask: \"height.value\" names nothing: height has no such field");
    for wrong in ["", ".", "header.", ".header", "Height", "blockId", "*", "transactions[0]", "header\n"] {
        assert!(refused(wrong).contains("names nothing: "), "{wrong:?}");
    }
    // What is already wanted as a whole is read all the same.
    assert!(read::<v1::BlockView>(&["header", "header.nonsense"]).is_err());
}

#[test]
fn paths_are_counted_and_measured_before_they_are_read() {
    let many = vec!["height"; MAX_MASK_PATHS + 1];
    assert_eq!(read::<v1::BlockView>(&many).unwrap_err(), "read_mask: expected 0 to 64 paths, got 65");
    assert!(read::<v1::BlockView>(&many[1..]).is_ok());
    let long = "h".repeat(MAX_MASK_PATH_BYTES + 1);
    assert_eq!(read::<v1::BlockView>(&[&long]).unwrap_err(), "read_mask: expected 1 to 64 bytes in a path, got 65");
}

#[test]
fn a_mask_knows_which_parts_are_wanted() {
    let mask = read::<v1::BlockView>(&["transactions.wire_id", "height"]).unwrap();
    assert!(mask.wants("transactions") && mask.wants("height") && !mask.wants("header"));
    assert!(read::<v1::BlockView>(&[]).unwrap().wants("header"));
    assert!(!read::<v1::BlockView>(&[]).unwrap().wants("headers"));
}
