//! Answers of which only a part was asked for.

use prost_types::FieldMask;
use v1::subscribe_blocks_response::Event;

use super::*;
use crate::testing::{ALICE, BOB};

fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

/// A view that has nothing of its transfers but their ids.
fn only_ids(transfers: &[SignedTransaction], api: &Api) -> Vec<v1::TransactionView> {
    let only = |signed| v1::TransactionView { transaction_id_hex: api.id_of(signed).to_string(), ..Default::default() };
    transfers.iter().map(only).collect()
}

fn payments(count: u64) -> Vec<SignedTransaction> {
    (0..count).map(|nonce| ALICE.pay(nonce, BOB.address(), nonce + 1)).collect()
}

#[tokio::test]
async fn a_block_has_what_the_mask_names_below_messages_and_through_lists() {
    let api = Api::start().await;
    let pays = payments(3);
    let id = api.include(pays.clone(), 1).await;
    let mut client = api.client().await;
    let mut get = async |paths: &[&str]| {
        let request = v1::GetBlockRequest { read_mask: mask(paths), ..by_height(1) };
        client.get_block(request).await.unwrap().into_inner().block.unwrap()
    };
    let whole = get(&[]).await;
    assert_eq!(whole.transactions.len(), 3);
    let kept = get(&["block_id_hex", "header.time_ms", "transactions.transaction_id_hex"]).await;
    let header = Some(v1::BlockHeader { time_ms: whole.header.unwrap().time_ms, ..Default::default() });
    let block_id_hex = id.to_string();
    let expected = v1::BlockView { block_id_hex, header, transactions: only_ids(&pays, &api), ..Default::default() };
    assert_eq!(kept, expected);
    let expected = v1::BlockView { transactions: whole.transactions, height: 1, ..Default::default() };
    assert_eq!(get(&["transactions", "height"]).await, expected);
    assert_eq!(get(&["transaction_count"]).await, v1::BlockView { transaction_count: 3, ..Default::default() });
}

#[tokio::test]
async fn pages_of_blocks_hold_together_whatever_the_mask_leaves_of_them() {
    let api = Api::start().await;
    let pays = payments(2);
    api.include(pays.clone(), 1).await;
    api.grow(2, 1).await;
    let mut client = api.client().await;
    let (mut blocks, mut page_token) = (Vec::new(), String::new());
    loop {
        let read_mask = mask(&["transactions.transaction_id_hex", "height"]);
        // Even a page without transactions may be asked of a list with them, and the other way round.
        let headers_only = blocks.len() == 2;
        let request = v1::ListBlocksRequest { page_size: 1, page_token, headers_only, read_mask };
        let page = client.list_blocks(request).await.unwrap().into_inner();
        blocks.extend(page.blocks);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let block = |height, transactions| v1::BlockView { height, transactions, ..Default::default() };
    // The third was asked for without transactions.
    assert_eq!(blocks, [block(3, vec![]), block(2, vec![]), block(1, vec![]), block(0, vec![])]);
    let request = v1::ListBlocksRequest { read_mask: mask(&["transactions.transaction_id_hex"]), ..Default::default() };
    let page = client.list_blocks(request).await.unwrap().into_inner();
    assert_eq!(page.blocks[2], block(0, only_ids(&pays, &api)));
}

#[tokio::test]
async fn a_stream_masks_applied_blocks_and_nothing_else() {
    let api = Api::start().await;
    let pays = payments(3);
    api.include(pays.clone(), 1).await;
    let stranger = Address::from_bytes([7; 32]);
    api.include(vec![ALICE.pay(3, stranger, 1), ALICE.pay(4, BOB.address(), 1)], 1).await;
    let mut client = api.client().await;
    let mut frames = async |paths: &[&str], filter: Option<Address>| {
        let addresses = |address: Address| vec![address.to_bytes().to_vec().into()];
        let filter = filter.map(|address| v1::AddressFilter { addresses: addresses(address), ..Default::default() });
        let start = Some(v1::subscribe_blocks_request::Start::FromHeight(1));
        let request = v1::SubscribeBlocksRequest {
            start,
            stop_height: Some(2),
            filter,
            read_mask: mask(paths),
            ..Default::default()
        };
        let mut stream = client.subscribe_blocks(request).await.unwrap().into_inner();
        let mut blocks = Vec::new();
        while let Some(frame) = next_frame(&mut stream).await.unwrap() {
            assert_eq!((frame.cursor.len(), frame.tip.unwrap().height), (41, 2));
            let Some(Event::Apply(block)) = frame.event else { panic!("expected apply, got {:?}", frame.event) };
            blocks.push(block);
        }
        blocks
    };
    let blocks = frames(&["transactions.transaction_id_hex"], None).await;
    assert_eq!(blocks[0], v1::BlockView { transactions: only_ids(&pays, &api), ..Default::default() });
    let to_stranger = only_ids(&[ALICE.pay(3, stranger, 1)], &api);
    let blocks = frames(&["height", "transactions.transaction_id_hex"], Some(stranger)).await;
    let block = |height, transactions| v1::BlockView { height, transactions, ..Default::default() };
    assert_eq!(blocks, [block(1, vec![]), block(2, to_stranger)]);
    assert_eq!(frames(&["height"], Some(stranger)).await, [block(1, vec![]), block(2, vec![])]);
}

#[tokio::test]
async fn transfers_the_mempool_and_histories_are_masked_too() {
    let api = Api::start().await;
    let mut pays = payments(3);
    let waiting = pays.pop().unwrap();
    api.include(pays.clone(), 1).await;
    api.pool([waiting.clone()]).await;
    let mut client = api.client().await;
    for (signed, state) in [(&pays[0], v1::TransactionState::Mined), (&waiting, v1::TransactionState::Pending)] {
        let id = Some(v1::get_transaction_request::Id::TransactionIdHex(api.id_of(signed).to_string()));
        let mut get = async |paths: &[&str]| {
            let request = v1::GetTransactionRequest { id: id.clone(), read_mask: mask(paths) };
            client.get_transaction(request).await.unwrap().into_inner()
        };
        let status = Some(v1::TransactionStatus { state: state.into(), ..Default::default() });
        let expected = v1::GetTransactionResponse { status, transaction: None };
        assert_eq!(get(&["status.state"]).await, expected);
        let whole = get(&[]).await;
        let expected = v1::GetTransactionResponse { status: None, transaction: whole.transaction };
        assert!(expected.transaction.is_some());
        assert_eq!(get(&["transaction"]).await, expected);
    }

    let request = v1::GetMempoolRequest { read_mask: mask(&["state"]), ..Default::default() };
    let page = client.get_mempool(request).await.unwrap().into_inner();
    let state = v1::TransactionState::Pending.into();
    assert_eq!(page.entries, [v1::MempoolEntry { state, ..Default::default() }]);
    assert_eq!(page.total_transactions, 1);
    let request = v1::GetMempoolRequest { read_mask: mask(&["transaction.transaction_id_hex"]), ..Default::default() };
    let page = client.get_mempool(request).await.unwrap().into_inner();
    let transaction = only_ids(std::slice::from_ref(&waiting), &api).pop();
    assert_eq!(page.entries, [v1::MempoolEntry { transaction, ..Default::default() }]);

    for order in [v1::AccountEntryOrder::NewestFirst, v1::AccountEntryOrder::OldestFirst] {
        let mut list = async |paths: &[&str]| {
            let id = v1::list_account_entries_request::Id::Address(BOB.address().to_bytes().to_vec().into());
            let order = order.into();
            let request =
                v1::ListAccountEntriesRequest { id: Some(id), order, read_mask: mask(paths), ..Default::default() };
            client.list_account_entries(request).await.unwrap().into_inner().entries
        };
        let number = |entry| v1::AccountEntry { entry, ..Default::default() };
        let mut expected = [number(1), number(2)];
        let mut senders = list(&["transaction.sender_address"]).await;
        if order == v1::AccountEntryOrder::NewestFirst {
            expected.reverse();
            senders.reverse();
        }
        assert_eq!(list(&["entry"]).await, expected);
        let sender_address = ALICE.address().to_bytes().to_vec().into();
        let view = v1::TransactionView { sender_address, ..Default::default() };
        let cause = Some(v1::account_entry::Cause::Transaction(view));
        assert_eq!(senders, vec![v1::AccountEntry { cause, ..Default::default() }; 2]);
    }
}

#[tokio::test]
async fn a_mask_that_names_nothing_is_refused_by_every_method_before_anything_else() {
    let api = Api::start().await;
    let mut client = api.client().await;
    // Nothing else in these requests is right, or there.
    let read_mask = mask(&["height", "transaction.fees"]);
    let errors = [
        client.get_block(v1::GetBlockRequest { read_mask: read_mask.clone(), ..by_height(99) }).await.unwrap_err(),
        client
            .list_blocks(v1::ListBlocksRequest { read_mask: read_mask.clone(), ..Default::default() })
            .await
            .unwrap_err(),
        client.get_transaction(v1::GetTransactionRequest { read_mask: read_mask.clone(), id: None }).await.unwrap_err(),
        client
            .get_mempool(v1::GetMempoolRequest { read_mask: mask(&["transaction.fees"]), ..Default::default() })
            .await
            .unwrap_err(),
        client
            .list_account_entries(v1::ListAccountEntriesRequest { read_mask: read_mask.clone(), ..Default::default() })
            .await
            .unwrap_err(),
        client.subscribe_blocks(v1::SubscribeBlocksRequest { read_mask, ..Default::default() }).await.unwrap_err(),
    ];
    let first_wrong =
        ["transaction.fees", "transaction.fees", "height", "transaction.fees", "transaction.fees", "transaction.fees"];
    for (error, path) in errors.iter().zip(first_wrong) {
        let (code, reason, metadata) = facts(error);
        assert_eq!((code, reason.as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
        assert_eq!((metadata["field"].as_str(), metadata["path"].as_str()), ("read_mask", path));
        assert!(error.message().contains(&format!("{path:?} names nothing: ")), "{}", error.message());
        assert_eq!(error.get_error_details().bad_request().unwrap().field_violations[0].field, "read_mask");
    }
    let many = v1::GetBlockRequest { read_mask: mask(&["height"; 65]), ..by_height(0) };
    assert_eq!(client.get_block(many).await.unwrap_err().message(), "read_mask: expected 0 to 64 paths, got 65");
}
