//! Blocks, pages of blocks, account histories.

use farthing::{
    Account, EntryId, Hash, TxId,
    account::history_link,
    wire::{BlockSummary, read_block_view},
};

use super::*;
use crate::testing::{ALICE, BOB};

#[tokio::test]
async fn a_block_is_found_by_height_and_by_either_form_of_its_id_and_reads_back() {
    use v1::get_block_request::Block;
    let api = Api::start().await;
    let pay = ALICE.pay(0, BOB.address(), 5);
    let id = api.include(vec![pay.clone()], 1).await;
    api.grow(2, 1).await;
    let mut client = api.client().await;
    for block in [Block::Height(1), Block::BlockId(id.to_bytes().to_vec().into()), Block::BlockIdHex(id.to_string())] {
        let answer =
            client.get_block(v1::GetBlockRequest { block: Some(block), read_mask: None }).await.unwrap().into_inner();
        let (summary, block) = read_block_view(api.test.chain.params(), answer.block.unwrap()).unwrap();
        assert_eq!((summary.id, summary.confirmations), (id, 3));
        assert_eq!(block.transactions, std::slice::from_ref(&pay));
    }
}

#[tokio::test]
async fn a_block_that_does_not_exist_is_not_found_by_name() {
    let api = Api::start().await;
    let mut client = api.client().await;
    let (code, reason, metadata) = facts(&client.get_block(by_height(7)).await.unwrap_err());
    assert_eq!((code, reason.as_str()), (Code::NotFound, "BLOCK_NOT_FOUND"));
    assert_eq!((metadata["height"].as_str(), metadata["tip_height"].as_str()), ("7", "0"));
    let empty = client.get_block(v1::GetBlockRequest::default()).await.unwrap_err();
    assert_eq!(facts(&empty).1, "MISSING_FIELD");
}

#[tokio::test]
async fn a_block_on_a_side_branch_is_found_without_confirmations() {
    let api = Api::start().await;
    let genesis = api.test.chain.view();
    let side = api.mine_on(&genesis, 1).await;
    let first = api.mine_on(&genesis, 2).await;
    assert_eq!(api.test.chain.view().tip.id(), side);
    let block = Some(v1::get_block_request::Block::BlockId(first.to_bytes().to_vec().into()));
    let answer =
        api.client().await.get_block(v1::GetBlockRequest { block, read_mask: None }).await.unwrap().into_inner();
    assert_eq!(answer.block.unwrap().confirmations, 0);
}

#[tokio::test]
async fn pages_of_blocks_reach_genesis_and_hold_together_when_the_chain_reorganises() {
    let api = Api::start().await;
    let fork = api.test.chain.view();
    let old = api.grow(5, 1).await;
    let mut client = api.client().await;
    let request = v1::ListBlocksRequest { page_size: 2, ..Default::default() };
    let page = client.list_blocks(request).await.unwrap().into_inner();
    let mut seen: Vec<BlockId> = page.blocks.iter().map(|view| BlockSummary::try_from(view).unwrap().id).collect();
    assert_eq!(page.blocks[0].confirmations, 1);

    // A longer branch from genesis between two pages.
    let mut view = (*fork).clone();
    for _ in 0..6 {
        let (block, next) = next_on(&view, Vec::new(), 2);
        api.test.chain.submit_block(block, Origin::Local).await.unwrap();
        view = next;
    }
    assert_eq!(api.test.chain.view().tip.id(), view.tip.id());

    let mut token = page.next_page_token;
    while !token.is_empty() {
        let request = v1::ListBlocksRequest { page_size: 2, page_token: token, headers_only: true, read_mask: None };
        let page = client.list_blocks(request).await.unwrap().into_inner();
        assert!(page.blocks.len() <= 2);
        seen.extend(page.blocks.iter().map(|view| BlockSummary::try_from(view).unwrap().id));
        token = page.next_page_token;
    }
    let mut expected: Vec<BlockId> = old.into_iter().rev().collect();
    expected.push(*api.test.chain.params().genesis_id());
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_page_token_of_another_method_is_refused() {
    let api = Api::start().await;
    let mut client = api.client().await;
    for page_token in ["nonsense".to_owned(), crate::rpc::page::token(crate::rpc::page::Listing::Mempool, &[&[0; 32]])]
    {
        let request = v1::ListBlocksRequest { page_token, ..Default::default() };
        let (code, reason, _) = facts(&client.list_blocks(request).await.unwrap_err());
        assert_eq!((code, reason.as_str()), (Code::InvalidArgument, "INVALID_PAGE_TOKEN"));
    }
    let request = v1::ListBlocksRequest { page_size: 101, ..Default::default() };
    let (_, reason, metadata) = facts(&client.list_blocks(request).await.unwrap_err());
    assert_eq!((reason.as_str(), metadata["field"].as_str()), ("INVALID_FIELD", "page_size"));
}

#[tokio::test]
async fn the_history_of_an_account_walks_back_to_zeros_page_by_page() {
    let api = Api::start().await;
    let payments: Vec<_> = (0..5).map(|nonce| ALICE.pay(nonce, BOB.address(), nonce + 1)).collect();
    for pair in payments.chunks(2) {
        api.include(pair.to_vec(), 1).await;
    }
    let mut client = api.client().await;
    let (mut entries, mut token) = (Vec::new(), String::new());
    loop {
        let id = v1::list_account_entries_request::Id::Address(ALICE.address().to_bytes().to_vec().into());
        let request =
            v1::ListAccountEntriesRequest { id: Some(id), page_size: 2, page_token: token, ..Default::default() };
        let page = client.list_account_entries(request).await.unwrap().into_inner();
        entries.extend(page.entries);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let account: Account = api.test.chain.view().account(&ALICE.address()).unwrap();
    assert_eq!(entries.len() as u64, account.entries);
    let mut history = Hash::ZERO;
    for (entry, payment) in entries.iter().rev().zip(&payments) {
        let id: TxId = payment.transaction().id(api.test.chain.params().genesis_id());
        assert_eq!(entry.id_hex, id.to_string());
        assert!(matches!(entry.cause, Some(v1::account_entry::Cause::Transaction(_))));
        history = history_link(&history, EntryId::from(id), Height::new(entry.height));
        assert_eq!(entry.history.as_ref(), history.as_bytes());
    }
    assert_eq!(history, account.history);
}

/// A page token as the node makes it, for an entry that need not exist.
fn entry_token(address: Address, entry: u64, height: u64) -> String {
    let parts: [&[u8]; 5] = [address.as_bytes(), &entry.to_le_bytes(), &height.to_le_bytes(), &[0; 32], &[0; 32]];
    crate::rpc::page::token(crate::rpc::page::Listing::AccountEntries, &parts)
}

async fn entries_of_alice(api: &Api, page_token: String) -> Result<v1::ListAccountEntriesResponse, Status> {
    let id = v1::list_account_entries_request::Id::Address(ALICE.address().to_bytes().to_vec().into());
    let request = v1::ListAccountEntriesRequest { id: Some(id), page_size: 2, page_token, ..Default::default() };
    Ok(api.client().await.list_account_entries(request).await?.into_inner())
}

#[tokio::test]
async fn a_token_that_leads_to_no_entry_or_to_another_account_is_refused() {
    let api = Api::start().await;
    api.include(vec![ALICE.pay(0, BOB.address(), 1)], 1).await;
    api.grow(1, 1).await;
    api.include(vec![ALICE.pay(1, BOB.address(), 1)], 1).await;
    // Nothing touched the account at height 2; the entry at height 1 has another id; the token may be Bob's.
    for (address, entry, height) in [(ALICE.address(), 2, 2), (ALICE.address(), 2, 3), (BOB.address(), 1, 1)] {
        let error = entries_of_alice(&api, entry_token(address, entry, height)).await.unwrap_err();
        assert_eq!((facts(&error).0, facts(&error).1.as_str()), (Code::InvalidArgument, "INVALID_PAGE_TOKEN"));
    }
}

#[tokio::test]
async fn a_page_of_another_branch_does_not_continue_a_history() {
    let api = Api::start().await;
    let mut branch = (*api.test.chain.view()).clone();
    for nonce in 0..3 {
        api.include(vec![ALICE.pay(nonce, BOB.address(), 1)], 1).await;
    }
    let first = entries_of_alice(&api, String::new()).await.unwrap();
    assert_eq!(first.entries.len(), 2);
    for nonce in 0..4 {
        let (block, next) = next_on(&branch, vec![ALICE.pay(nonce, BOB.address(), 2)], 2);
        api.test.chain.submit_block(block, Origin::Local).await.unwrap();
        branch = next;
    }
    assert_eq!(api.test.chain.view().tip.id(), branch.tip.id());
    let error = entries_of_alice(&api, first.next_page_token).await.unwrap_err();
    assert_eq!(facts(&error).1, "INVALID_PAGE_TOKEN");
}
