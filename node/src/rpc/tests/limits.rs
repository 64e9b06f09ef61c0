//! What one caller may cost, and how large an answer may become.

use farthing::{
    Mites, Output, Transaction,
    codec::Canonical as _,
    tx::TransactionFields,
    wire::{transaction_view, v1::ledger_service_server::LedgerService as _},
};
use futures_util::FutureExt as _;
use prost::Message as _;
use tokio::task::unconstrained;
use tonic::{Request, transport::server::TcpConnectInfo};

use super::*;
use crate::{
    rpc::{VIEW_FACTOR, ledger::LedgerApi},
    server::{Rate, Unit, exceeding::exceed_every_limit},
    testing::{ALICE, BOB},
};

/// The request as it comes from this address.
fn from<T>(address: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let remote_addr = Some(address.parse().unwrap());
    request.extensions_mut().insert(TcpConnectInfo { local_addr: None, remote_addr });
    request
}

/// Copies of one transfer, each with another wrong signature.
fn forged(copies: u8) -> v1::SubmitTransactionsRequest {
    let good = ALICE.pay(0, BOB.address(), 5).to_canonical();
    let spoilt = (1..=copies).map(|mark| {
        let mut bytes = good.clone();
        *bytes.last_mut().unwrap() ^= mark;
        bytes.into()
    });
    v1::SubmitTransactionsRequest { transactions_bytes: spoilt.collect() }
}

/// The transfer that these are copies of.
fn good() -> v1::SubmitTransactionRequest {
    let pay = ALICE.pay(0, BOB.address(), 5).to_canonical();
    v1::SubmitTransactionRequest { form: Some(v1::submit_transaction_request::Form::TransactionBytes(pay.into())) }
}

#[tokio::test]
async fn a_network_whose_signatures_are_wrong_is_limited_for_a_while_and_others_are_not() {
    let api = Api::start().await;
    let service = LedgerApi::new(api.deps.clone());
    let answer = service.submit_transactions(from("192.0.2.1:1", forged(250))).await.unwrap().into_inner();
    let bad = |result: &v1::SubmitTransactionsResult| {
        use v1::submit_transactions_result::Verdict;
        let Some(Verdict::Error(error)) = &result.verdict else { return false };
        error.get_details_error_info().is_some_and(|info| info.reason == "BAD_SIGNATURE")
    };
    assert_eq!(answer.results.iter().filter(|result| bad(result)).count(), 250);

    let refused = service.submit_transaction(from("192.0.2.77:2", good())).await.unwrap_err();
    let (code, reason, metadata) = facts(&refused);
    assert_eq!((code, reason.as_str()), (Code::ResourceExhausted, "SOURCE_LIMITED"));
    let wait = Duration::from_millis(metadata["retry_after_ms"].parse().unwrap());
    assert_eq!(refused.get_details_retry_info().unwrap().retry_delay, Some(wait));
    service.submit_transactions(from("192.0.2.77:2", forged(1))).await.unwrap_err();

    service.submit_transaction(from("198.51.100.1:1", good())).await.unwrap();
    service.submit_transaction(from("127.0.0.1:1", good())).await.unwrap();
    api.test.clock.advance(wait);
    service.submit_transaction(from("192.0.2.1:1", good())).await.unwrap();
}

/// A call is dropped when its client resets it.
#[tokio::test]
async fn whoever_gives_up_its_calls_pays_for_their_wrong_signatures_all_the_same() {
    let api = Api::start().await;
    let service = LedgerApi::new(api.deps.clone());
    for _ in 0..=12 {
        let call = service.submit_transactions(from("192.0.2.1:1", forged(16)));
        let _ = unconstrained(call).now_or_never();
    }
    for bytes in forged(201).transactions_bytes {
        let form = Some(v1::simulate_transaction_request::Form::TransactionBytes(bytes));
        let request = v1::SimulateTransactionRequest { form };
        let _ = unconstrained(service.simulate_transaction(from("198.51.100.1:1", request))).now_or_never();
    }
    for network in ["192.0.2.77:2", "198.51.100.77:2"] {
        // Asked with what changes nothing: a good one in the pool would be a cheaper reason to refuse the last of the others.
        let refused = async {
            let nothing = || from(network, v1::SubmitTransactionRequest::default());
            while facts(&service.submit_transaction(nothing()).await.unwrap_err()).1 != "SOURCE_LIMITED" {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, refused).await.expect("it is refused");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_exceeds_any_limit_of_any_method_is_refused_by_name() {
    let api = Api::start().await;
    exceed_every_limit("/farthing.", routes(&api.deps).await.unwrap(), ServerSettings::public(methods(&dev()))).await;
}

/// Streams that go through blocks which say nothing to their reader pay for them: the connection's other calls feel it.
#[tokio::test]
async fn who_has_the_chain_replayed_pays_for_each_block_although_none_is_told() {
    use v1::{watch_account_request::Id as Of, watch_transaction_request::Id};
    let (accounts, transactions) =
        ("/farthing.v1.LedgerService/WatchAccount", "/farthing.v1.LedgerService/WatchTransaction");
    let api = Api::start_with(|settings| {
        settings.counts_own_machine = true;
        for path in [accounts, transactions] {
            let few = settings.methods.get(path).unwrap().counting(Unit::Blocks, 1, 5);
            settings.methods = settings.methods.clone().with(path, few);
        }
    })
    .await;
    api.grow(20, 1).await;
    let (mut client, cursor) = (api.client().await, bytes::Bytes::from_static(&[1]));
    let account = v1::WatchAccountRequest { id: Some(Of::Address(vec![7; 32].into())), cursor: cursor.clone() };
    let transaction =
        v1::WatchTransactionRequest { id: Some(Id::TransactionId(vec![7; 32].into())), confirmations: 0, cursor };
    let _replayed = (
        client.watch_account(account.clone()).await.unwrap(),
        client.watch_transaction(transaction.clone()).await.unwrap(),
    );
    let wait = Duration::from_secs(20);
    let refused = tokio::time::timeout(wait, async {
        loop {
            if let Err(status) = client.watch_account(account.clone()).await {
                break status;
            }
        }
    });
    let (_, reason, metadata) = facts(&refused.await.expect("it is refused"));
    assert_eq!((reason.as_str(), metadata["unit"].as_str()), ("RATE_LIMITED", "blocks"));
    let refused = tokio::time::timeout(wait, async {
        loop {
            if let Err(status) = client.watch_transaction(transaction.clone()).await {
                break status;
            }
        }
    });
    let (_, reason, metadata) = facts(&refused.await.expect("it is refused"));
    assert_eq!((reason.as_str(), metadata["unit"].as_str()), ("RATE_LIMITED", "blocks"));
}

/// Every limit that is told is the one that holds: the tests that exceed them use the same tables.
#[tokio::test]
async fn get_limits_tells_what_the_listeners_enforce() {
    let api = Api::start().await;
    let answer = api.client().await.get_limits(v1::GetLimitsRequest {}).await.unwrap().into_inner();
    let public = answer.public_listener.unwrap();
    let settings = &api.deps.listeners.public;
    assert_eq!(public.max_connections as usize, settings.connections.total);
    assert_eq!(public.max_calls_per_connection, settings.max_streams);
    assert!(!public.counts_own_machine);
    let paths: Vec<&str> = public.methods.iter().map(|method| method.method.as_str()).collect();
    assert_eq!(paths, methods(&dev()).iter().map(|(path, _)| path).collect::<Vec<_>>());
    let batch = public.methods.iter().find(|method| method.method.ends_with("/SubmitTransactions")).unwrap();
    let policy = *methods(&dev()).get(&batch.method).unwrap();
    let rate = |unit: &str, rate: Rate| {
        Some(v1::RateLimit { unit: unit.to_owned(), per_second: rate.per_second, burst: rate.burst })
    };
    assert_eq!((batch.max_request_bytes as usize, batch.deadline_ms), (policy.max_message(), 10_000));
    assert_eq!(
        (batch.max_open_calls, batch.calls.clone()),
        (policy.calls().at_a_time, rate("calls", policy.calls().rate))
    );
    assert_eq!(batch.items, rate("transactions", policy.items().unwrap().1));
    let new = settings.new_connections;
    let told = (public.new_connections_per_network, public.new_connections, public.new_connections_of_newcomers);
    let rates = [new.per_network, new.total, new.newcomers].map(|of| rate("connections", of));
    assert_eq!(told, rates.into());
    assert_eq!(public.resets_per_connection, rate("resets", settings.resets));
    let peers = answer.peer_listener.unwrap();
    assert!(peers.counts_own_machine && !peers.methods.is_empty());
    let (protocol, params) = (answer.protocol.unwrap(), dev());
    assert_eq!((protocol.max_block_bytes, protocol.max_block_openings), (params.max_block_bytes, params.max_openings));
    assert_eq!((protocol.max_transaction_bytes, protocol.max_memo_bytes), (4_096, 256));
    let limits = answer.api.unwrap();
    assert_eq!((limits.max_batch_transactions, limits.max_mempool_page_size), (1_000, 1_000));
    assert_eq!(limits.max_mempool_bytes as usize, PoolLimits::default().bytes);
}

/// However little a page shows, its blocks are read.
#[tokio::test]
async fn a_page_of_blocks_is_paid_for_by_the_block() {
    let api = Api::start_with(|settings| {
        settings.counts_own_machine = true;
        let path = "/farthing.v1.LedgerService/ListBlocks";
        let few = settings.methods.get(path).unwrap().counting(Unit::Blocks, 1, 10);
        settings.methods = settings.methods.clone().with(path, few);
    })
    .await;
    api.grow(30, 1).await;
    let mut client = api.client().await;
    let page = v1::ListBlocksRequest { page_size: 30, headers_only: true, ..Default::default() };
    assert_eq!(client.list_blocks(page.clone()).await.unwrap().into_inner().blocks.len(), 30);
    let (_, reason, metadata) = facts(&client.list_blocks(page).await.unwrap_err());
    assert_eq!((reason.as_str(), metadata["unit"].as_str()), ("RATE_LIMITED", "blocks"));
    // 20 of them are owed, and one is to be there.
    let wait: u64 = metadata["retry_after_ms"].parse().unwrap();
    assert!((15_000..=21_000).contains(&wait), "{wait}");
}

/// A large answer is dropped where too many wait to be taken; what is asked for in parts still comes.
#[tokio::test]
async fn a_large_answer_that_there_is_no_room_for_is_refused_by_name() {
    let api = Api::start_with(|settings| {
        settings.unsent_answers = Some(crate::server::Share { total: 0, per_prefix: 0 });
        settings.own_large_answers = 0;
    })
    .await;
    api.pool((0..100).map(|nonce| ALICE.pay(nonce, BOB.address(), 1))).await;
    let mut client = api.client().await;
    let page = |page_size| v1::GetMempoolRequest { page_size, ..Default::default() };
    let refused = client.get_mempool(page(100)).await.unwrap_err();
    assert_eq!(facts(&refused).1, "OVERLOADED");
    assert!(refused.get_error_details().retry_info().is_some());
    assert_eq!(client.get_mempool(page(10)).await.unwrap().into_inner().entries.len(), 10);
}

#[test]
fn no_view_of_a_transfer_outgrows_what_an_answer_has_room_for() {
    for (nonce, outputs) in [(0, 1), (1, 1), (1, 64)] {
        let sender = ALICE.pay(nonce, BOB.address(), 1).transaction().sender().clone();
        let fields = TransactionFields {
            sender,
            nonce,
            fee: Mites::new(u64::MAX / 2),
            valid_until: Some(Height::new(u64::MAX)),
            outputs: vec![Output { to: BOB.address(), amount: Mites::new(1 << 55) }; outputs],
            memo: vec![7; 256],
        };
        let signed = ALICE.sign(Transaction::new(fields).unwrap());
        let (view, canonical) = (transaction_view(&dev(), &signed).encoded_len(), signed.to_canonical().len());
        assert!(view <= VIEW_FACTOR * canonical, "{view} bytes for {canonical}");
    }
}
