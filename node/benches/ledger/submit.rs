//! Submission of many transfers, and how fast it is.

use std::time::Instant;

use farthing::wire::v1::{
    SubmitTransactionRequest, SubmitTransactionStreamRequest, SubmitTransactionsRequest,
    ledger_service_client::LedgerServiceClient, submit_transaction_request::Form,
    submit_transaction_stream_response::Event, submit_transactions_result::Verdict,
};
use prost::bytes::Bytes;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use super::PAYERS;

pub(crate) type Client = LedgerServiceClient<Channel>;

/// Transfers a second by `SubmitTransactions`: eight clients, each with accounts of its own and one batch under way, so
/// that nonces arrive in order.
pub(crate) async fn batches(client: &Client, transfers: &[Bytes], batch: usize) -> f64 {
    let begin = Instant::now();
    let mut running = JoinSet::new();
    for transfers in shares(transfers, 8) {
        let mut client = client.clone();
        running.spawn(async move {
            for chunk in transfers.chunks(batch) {
                let request = SubmitTransactionsRequest { transactions_bytes: chunk.to_vec() };
                let answer = client.submit_transactions(request).await.unwrap().into_inner();
                for result in answer.results {
                    assert!(matches!(result.verdict, Some(Verdict::Status(_))), "{result:?}");
                }
            }
        });
    }
    rate(running, transfers.len(), begin).await
}

/// Transfers a second by `SubmitTransactionStream`: eight streams, each with accounts of its own.
pub(crate) async fn streams(client: &Client, transfers: &[Bytes]) -> f64 {
    let begin = Instant::now();
    let mut running = JoinSet::new();
    for transfers in shares(transfers, 8) {
        let mut client = client.clone();
        running.spawn(async move {
            let tagged = (0..).zip(transfers);
            let requests =
                tagged.map(|(tag, transaction_bytes)| SubmitTransactionStreamRequest { tag, transaction_bytes });
            let requests = futures_util::stream::iter(requests);
            let mut verdicts = client.submit_transaction_stream(requests).await.unwrap().into_inner();
            while let Some(response) = verdicts.message().await.unwrap() {
                assert!(matches!(response.event, Some(Event::Status(_) | Event::Progress(_))), "{response:?}");
            }
        });
    }
    rate(running, transfers.len(), begin).await
}

/// Transfers a second by `SubmitTransaction`: as many clients as there are payers, each with one call under way.
pub(crate) async fn one_by_one(client: &Client, transfers: &[Bytes]) -> f64 {
    let begin = Instant::now();
    let mut running = JoinSet::new();
    for transfers in shares(transfers, PAYERS) {
        let mut client = client.clone();
        running.spawn(async move {
            for bytes in transfers {
                submit(&mut client, bytes).await;
            }
        });
    }
    rate(running, transfers.len(), begin).await
}

/// Submits a transfer, which must be taken.
pub(crate) async fn submit(client: &mut Client, bytes: Bytes) {
    let request = SubmitTransactionRequest { form: Some(Form::TransactionBytes(bytes)) };
    client.submit_transaction(request).await.unwrap();
}

/// Transfers of the payers in turn, dealt out so that each payer's stay together and in order.
fn shares(transfers: &[Bytes], clients: usize) -> Vec<Vec<Bytes>> {
    let mut shares = vec![Vec::new(); clients];
    transfers.iter().enumerate().for_each(|(n, bytes)| shares[n % clients].push(bytes.clone()));
    shares
}

async fn rate(mut running: JoinSet<()>, count: usize, begin: Instant) -> f64 {
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
    count as f64 / begin.elapsed().as_secs_f64()
}
