//! Histories in either order, headers, the supply, and the proof of the chain.

use farthing::{
    Hash, Header, Mites,
    chain_proof::ChainProof,
    codec::Canonical as _,
    wire::{AccountStatement, AnchoredProof, ChainPoint, PastReader, Portable as _},
};
use farthing_consensus::verify_chain_proof;

use super::*;
use crate::testing::{ALICE, BOB};

fn entries_request(
    address: Address,
    order: v1::AccountEntryOrder,
    size: u32,
    token: String,
) -> v1::ListAccountEntriesRequest {
    let id = v1::list_account_entries_request::Id::Address(address.to_bytes().to_vec().into());
    v1::ListAccountEntriesRequest {
        id: Some(id),
        page_size: size,
        page_token: token,
        order: order.into(),
        ..Default::default()
    }
}

/// All pages from a token on.
async fn pages(
    api: &Api,
    address: Address,
    order: v1::AccountEntryOrder,
    size: u32,
    mut token: String,
) -> Result<Vec<v1::AccountEntry>, Status> {
    let mut client = api.client().await;
    let mut entries = Vec::new();
    loop {
        let page = client.list_account_entries(entries_request(address, order, size, token)).await?.into_inner();
        assert!(page.entries.len() <= size as usize);
        entries.extend(page.entries);
        token = page.next_page_token;
        if token.is_empty() {
            return Ok(entries);
        }
    }
}

/// Alice pays Bob in many blocks, with several transfers in some.
async fn busy(api: &Api, blocks: u64) {
    let mut nonce = 0;
    for block in 0..blocks {
        let transfers = (0..=block % 3).map(|more| ALICE.pay(nonce + more, BOB.address(), 1)).collect::<Vec<_>>();
        nonce += transfers.len() as u64;
        api.include(transfers, 1).await;
        api.grow((block % 2) as usize, 1).await;
    }
}

async fn prove_account(api: &Api, address: Address) -> (AnchoredProof, BlockId) {
    let id = Some(v1::get_account_request::Id::Address(address.to_bytes().to_vec().into()));
    let answer = api.client().await.get_account(v1::GetAccountRequest { id, with_proof: true }).await.unwrap();
    let answer = answer.into_inner();
    let tip = ChainPoint::try_from(answer.tip.unwrap()).unwrap();
    (AnchoredProof::try_from(answer.proof.unwrap()).unwrap(), tip.block_id)
}

#[tokio::test]
async fn a_history_is_listed_both_ways_and_proven_whole_from_either() {
    use v1::AccountEntryOrder::{NewestFirst, OldestFirst, Unspecified};
    let api = Api::start().await;
    busy(&api, 40).await;
    // Alice, Bob, a miner, and somebody who never had anything.
    for address in [ALICE.address(), BOB.address(), Address::from_bytes([1; 32]), Address::from_bytes([0x77; 32])] {
        let (proof, tip) = prove_account(&api, address).await;
        let account = proof.verify_under(&address, &tip).unwrap().unwrap_or_default();
        // Newer than the proof: left out by whoever reads the pages.
        api.grow(1, 1).await;
        let newest = pages(&api, address, Unspecified, 100, String::new()).await.unwrap();
        let mut statements = Vec::new();
        for (order, size) in [(NewestFirst, 7), (OldestFirst, 1), (OldestFirst, 7), (OldestFirst, 100)] {
            let mut listed = pages(&api, address, order, size, String::new()).await.unwrap();
            let params = dev();
            let mut reader = PastReader::new(&params, address, &account, order == NewestFirst);
            for message in &listed {
                if !reader.take(message.clone()).unwrap() {
                    break;
                }
            }
            statements.push(reader.finish(proof.clone(), &tip).unwrap());
            if order == OldestFirst {
                listed.reverse();
            }
            assert_eq!(listed, newest, "{order:?} by {size}");
        }
        assert!(statements.windows(2).all(|pair| pair[0] == pair[1]));
        let kept = AccountStatement::from_wire_bytes(&statements[0].to_wire_bytes()).unwrap();
        kept.verify(&dev(), &address, &tip).unwrap();
        assert_eq!(kept.entries.len() as u64, account.entries);
    }
}

#[tokio::test]
async fn pages_from_the_oldest_go_on_with_what_was_added_meanwhile() {
    use v1::AccountEntryOrder::OldestFirst;
    let api = Api::start().await;
    busy(&api, 6).await;
    let request = entries_request(BOB.address(), OldestFirst, 5, String::new());
    let first = api.client().await.list_account_entries(request).await.unwrap().into_inner();
    let nonce = api.test.chain.view().account(&ALICE.address()).unwrap().next_nonce;
    api.include(vec![ALICE.pay(nonce, BOB.address(), 1)], 1).await;
    let rest = pages(&api, BOB.address(), OldestFirst, 5, first.next_page_token).await.unwrap();
    let numbers: Vec<u64> = first.entries.iter().chain(&rest).map(|entry| entry.entry).collect();
    let account = api.test.chain.view().account(&BOB.address()).unwrap();
    assert_eq!(numbers, (1..=account.entries).collect::<Vec<_>>());
}

/// A client that goes from block to block would have each read whole for one transaction.
#[tokio::test]
async fn a_transaction_whose_block_has_to_be_read_is_charged_for_it() {
    let api = Api::start().await;
    let transfers = [0, 1, 2, 3].map(|nonce| ALICE.pay(nonce, BOB.address(), 1));
    let ids = transfers.clone().map(|signed| signed.transaction().id(dev().genesis_id()));
    let [first, second, third, fourth] = transfers;
    api.include(vec![first, second], 1).await;
    api.include(vec![third, fourth], 1).await;
    let meter = crate::server::CallMeter::counting_for_tests();
    let get = async |id: TxId, paths: &[&str]| {
        let read_mask = Some(prost_types::FieldMask { paths: paths.iter().map(ToString::to_string).collect() });
        let request = v1::GetTransactionRequest {
            id: Some(v1::get_transaction_request::Id::TransactionId(id.to_bytes().to_vec().into())),
            read_mask,
        };
        let found = crate::rpc::transactions::get(&api.deps, request, Some(&meter)).await.unwrap();
        (found.transaction.is_some(), meter.used())
    };
    assert_eq!(get(ids[0], &["status"]).await, (false, 0), "where it stands is in the index");
    assert_eq!(get(ids[0], &["transaction"]).await, (true, 1));
    assert_eq!(get(ids[1], &[]).await, (true, 1), "its block is in memory by now");
    assert_eq!(get(ids[2], &[]).await, (true, 2));
    assert_eq!(get(ids[3], &[]).await, (true, 2));
}

#[tokio::test]
async fn the_way_down_to_the_oldest_entries_is_charged_before_it_is_read() {
    use v1::AccountEntryOrder::OldestFirst;
    let api = Api::start().await;
    for nonce in 0..20 {
        api.include(vec![ALICE.pay(nonce, BOB.address(), 1)], 1).await;
    }
    // What is charged while the store is still being read elsewhere, and behind that. It may have been quicker: then again.
    let page = async |token: String| loop {
        let meter = crate::server::CallMeter::counting_for_tests();
        let request = entries_request(ALICE.address(), OldestFirst, 2, token.clone());
        let mut listing = std::pin::pin!(crate::rpc::accounts::list_entries(&api.deps, request, Some(&meter)));
        if futures_util::poll!(listing.as_mut()).is_pending() {
            let charged = meter.used();
            let answer = listing.await.unwrap();
            assert_eq!(answer.entries.len(), 2);
            break (charged, meter.used(), answer.next_page_token);
        }
    };
    let (charged, kept, token) = page(String::new()).await;
    assert_eq!((charged, kept), (20, 20), "all of it was gone through");
    let (charged, kept, _) = page(token).await;
    assert!(charged == 18 && (1..18).contains(&kept), "{charged} beforehand, {kept} were read");
}

#[tokio::test]
async fn pages_of_one_order_account_or_branch_do_not_continue_another() {
    use v1::AccountEntryOrder::{NewestFirst, OldestFirst};
    let api = Api::start().await;
    let mut branch = (*api.test.chain.view()).clone();
    for nonce in 0..3 {
        api.include(vec![ALICE.pay(nonce, BOB.address(), 1)], 1).await;
    }
    let mut client = api.client().await;
    let mut refused = async |address, order, token: &str| {
        let request = entries_request(address, order, 2, token.to_owned());
        let (code, reason, _) = facts(&client.list_account_entries(request).await.unwrap_err());
        assert_eq!((code, reason.as_str()), (Code::InvalidArgument, "INVALID_PAGE_TOKEN"));
    };
    let request = entries_request(ALICE.address(), OldestFirst, 2, String::new());
    let first = api.client().await.list_account_entries(request).await.unwrap().into_inner();
    let token = first.next_page_token;
    refused(ALICE.address(), NewestFirst, &token).await;
    refused(BOB.address(), OldestFirst, &token).await;
    // A mark that names a block which did nothing to the account.
    let forged = |entry: u64, height: u64, next: u64| {
        let (entry, height, next) = (entry.to_le_bytes(), height.to_le_bytes(), next.to_le_bytes());
        let address = ALICE.address();
        let parts: [&[u8]; 5] = [address.as_bytes(), &next, &[0; 32], &entry, &height];
        crate::rpc::page::token(crate::rpc::page::Listing::OldestEntries, &parts)
    };
    for (entry, height, next) in [(3, 0, 1), (3, 77, 1), (3, 2, 1), (3, 3, 9), (3, 3, 2)] {
        refused(ALICE.address(), OldestFirst, &forged(entry, height, next)).await;
    }
    for nonce in 0..4 {
        let (block, next) = next_on(&branch, vec![ALICE.pay(nonce, BOB.address(), 2)], 2);
        api.test.chain.submit_block(block, Origin::Local).await.unwrap();
        branch = next;
    }
    refused(ALICE.address(), OldestFirst, &token).await;
    let request =
        v1::ListAccountEntriesRequest { order: 9, ..entries_request(ALICE.address(), NewestFirst, 2, String::new()) };
    let (_, reason, metadata) = facts(&api.client().await.list_account_entries(request).await.unwrap_err());
    assert_eq!((reason.as_str(), metadata["field"].as_str()), ("INVALID_FIELD", "order"));
}

async fn headers(api: &Api, request: v1::GetHeadersRequest) -> Result<(Vec<Header>, Vec<u64>), Status> {
    let mut stream = api.client().await.get_headers(request).await?.into_inner();
    let (mut headers, mut starts) = (Vec::new(), Vec::new());
    while let Some(frame) = stream.message().await? {
        let Some(v1::get_headers_response::Event::Headers(message)) = frame.event else { continue };
        starts.push(message.first_height);
        assert_eq!(message.first_height, starts[0] + headers.len() as u64);
        assert!(message.headers_bytes.len() <= 1_000 && !message.headers_bytes.is_empty());
        headers.extend(message.headers_bytes.iter().map(|bytes| Header::from_canonical(bytes).unwrap()));
    }
    assert!(headers.windows(2).all(|pair| pair[1].previous == pair[0].id()), "one chain");
    Ok((headers, starts))
}

#[tokio::test]
async fn headers_come_from_a_height_or_behind_an_id_to_a_height_or_the_tip() {
    use v1::get_headers_request::Start;
    let api = Api::start().await;
    let ids = api.grow(1_205, 1).await;
    let start = |start| v1::GetHeadersRequest { start: Some(start), stop_height: None };
    let (all, starts) = headers(&api, v1::GetHeadersRequest::default()).await.unwrap();
    assert_eq!((all.len(), starts), (1_206, vec![0, 1_000]));
    assert_eq!(all[0].id(), *dev().genesis_id());
    assert_eq!(all[1..].iter().map(Header::id).collect::<Vec<_>>(), ids);
    let after = start(Start::AfterBlockIdHex(ids[99].to_string()));
    assert_eq!(headers(&api, after).await.unwrap(), (all[101..].to_vec(), vec![101, 1_101]));
    let some = v1::GetHeadersRequest { stop_height: Some(12), ..start(Start::FromHeight(10)) };
    assert_eq!(headers(&api, some).await.unwrap().0, all[10..=12]);
    let beyond = v1::GetHeadersRequest { stop_height: Some(99_999), ..start(Start::FromHeight(1_200)) };
    assert_eq!(headers(&api, beyond).await.unwrap().0, all[1_200..]);
    let nothing = start(Start::AfterBlockId(ids[1_204].to_bytes().to_vec().into()));
    assert_eq!(headers(&api, nothing).await.unwrap(), (vec![], vec![]));

    let refused = async |request| facts(&headers(&api, request).await.unwrap_err());
    let (code, reason, metadata) = refused(start(Start::FromHeight(1_207))).await;
    assert_eq!((code, reason.as_str()), (Code::OutOfRange, "HEIGHT_ABOVE_TIP"));
    assert_eq!((metadata["height"].as_str(), metadata["next_height"].as_str()), ("1207", "1206"));
    let backwards = v1::GetHeadersRequest { stop_height: Some(4), ..start(Start::FromHeight(5)) };
    assert_eq!(refused(backwards).await.2["field"], "stop_height");
    assert_eq!(refused(start(Start::AfterBlockId(vec![7; 32].into()))).await.1, "CURSOR_UNKNOWN");
    assert_eq!(refused(start(Start::AfterBlockId(vec![7; 31].into()))).await.2["field"], "after_block_id");
}

#[tokio::test]
async fn a_stream_of_headers_whose_tip_leaves_the_chain_ends_by_name_and_says_where_to_go_on() {
    use v1::get_headers_request::Start;
    let api = Api::start().await;
    let common = api.grow(3, 1).await;
    let mut branch = (*api.test.chain.view()).clone();
    let old = api.grow(40, 1).await;
    let request = tonic::Request::new(v1::GetHeadersRequest::default());
    let mut stream = crate::rpc::headers::stream(&api.deps, request).await.unwrap();
    for _ in 0..50 {
        let (block, next) = next_on(&branch, Vec::new(), 2);
        api.test.chain.submit_block(block, Origin::Local).await.unwrap();
        branch = next;
    }
    assert_eq!(api.test.chain.view().tip.id(), branch.tip.id());
    // The stream began with the old tip and is asked for its first message only now.
    let status = futures_util::StreamExt::next(&mut stream).await.unwrap().unwrap_err();
    let (code, reason, metadata) = facts(&status);
    assert_eq!((code, reason.as_str()), (Code::Aborted, "REORGANISED"));
    assert_eq!(metadata["tip_id"], old[39].to_string());

    let start = Some(Start::AfterBlockId(old[7].to_bytes().to_vec().into()));
    let status = headers(&api, v1::GetHeadersRequest { start, stop_height: None }).await.unwrap_err();
    let (code, reason, metadata) = facts(&status);
    assert_eq!((code, reason.as_str()), (Code::Aborted, "REORGANISED"));
    assert_eq!((metadata["fork_height"].as_str(), metadata["fork_block_id"].clone()), ("3", common[2].to_string()));
    let start = Some(Start::AfterBlockIdHex(metadata["fork_block_id"].clone()));
    let (rest, _) = headers(&api, v1::GetHeadersRequest { start, stop_height: None }).await.unwrap();
    assert_eq!((rest.len(), rest[49].id()), (50, branch.tip.id()));
}

#[tokio::test]
async fn a_stream_of_headers_says_that_the_node_drains_and_then_that_it_is_unavailable() {
    use futures_util::StreamExt as _;
    use v1::get_headers_response::Event;
    let api = Api::start().await;
    api.grow(3, 1).await;
    let request = tonic::Request::new(v1::GetHeadersRequest::default());
    let mut stream = crate::rpc::headers::stream(&api.deps, request).await.unwrap();
    api.test.tasks.stop();
    let frame = stream.next().await.unwrap().unwrap();
    assert!(matches!(frame.event, Some(Event::Draining(_))), "{frame:?}");
    let status = stream.next().await.unwrap().unwrap_err();
    assert_eq!((facts(&status).0, facts(&status).1.as_str()), (Code::Unavailable, "STOPPING"));
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn the_supply_adds_up_at_every_block() {
    let api = Api::start().await;
    let mut burned = 0;
    for nonce in 0..6 {
        let supply = api.client().await.get_supply(v1::GetSupplyRequest {}).await.unwrap().into_inner();
        let view = api.test.chain.view();
        assert_eq!(supply.tip.as_ref().unwrap().height, view.tip.height().get());
        assert_eq!(supply.allocated_mites, dev().allocated().get());
        assert_eq!(supply.subsidies_mites, nonce * dev().initial_subsidy.get());
        assert_eq!(supply.burned_mites, burned);
        let balances: u64 = view.accounts.iter().map(|(_, entry)| entry.account.balance.get()).sum();
        assert_eq!(supply.circulating_mites, balances, "counted account by account");
        let issued = supply.allocated_mites + supply.subsidies_mites;
        assert_eq!(issued, supply.circulating_mites + supply.immature_mites + supply.burned_mites);
        assert_eq!(supply.supply_mites, supply.circulating_mites + supply.immature_mites);
        // Every other transfer opens an account.
        let to = if nonce % 2 == 0 { Address::from_bytes([0x40 + nonce as u8; 32]) } else { BOB.address() };
        burned += if nonce % 2 == 0 { dev().opening_cost.get() } else { 0 };
        api.include(vec![ALICE.pay(nonce, to, 1)], 1).await;
    }
    assert_ne!(Mites::new(burned), Mites::ZERO);
}

#[tokio::test]
async fn the_work_of_the_chain_is_proven_to_whoever_knows_its_rules() {
    let api = Api::start().await;
    for grown in [0_usize, 1, 70, 400] {
        api.grow(grown, 1).await;
        let answer = api.client().await.get_chain_proof(v1::GetChainProofRequest {}).await.unwrap().into_inner();
        let tip = ChainPoint::try_from(answer.tip.unwrap()).unwrap();
        let message = answer.proof.unwrap();
        let proof = ChainProof::try_from(message).unwrap();
        let proof = ChainProof::from_wire_bytes(&proof.to_wire_bytes()).unwrap();
        let proven = verify_chain_proof(&dev(), &proof).unwrap();
        assert_eq!((proven.tip.id(), proven.tip.height()), (tip.block_id, tip.height));
        assert_eq!(proven.tip.total_work(), tip.total_work);
        assert_ne!(proof.accounts_root, Hash::ZERO);
    }
}
