//! Transfers in, and what is said of them, of accounts and of the node.

use farthing::{
    Account, Address, Mites, SignedTransaction,
    codec::Canonical as _,
    wire::{AnchoredProof, TransactionStanding, TransactionStatus, read_transaction_view},
};

use super::*;
use crate::testing::{ALICE, BOB};

const STRANGER: Address = Address::from_bytes([9; 32]);

fn typed(signed: &SignedTransaction) -> v1::SubmitTransactionRequest {
    let form = v1::submit_transaction_request::Form::Transaction(signed.into());
    v1::SubmitTransactionRequest { form: Some(form) }
}

fn canonical(signed: &SignedTransaction) -> v1::SubmitTransactionRequest {
    let form = v1::submit_transaction_request::Form::TransactionBytes(signed.to_canonical().into());
    v1::SubmitTransactionRequest { form: Some(form) }
}

impl Api {
    async fn submit(&self, request: v1::SubmitTransactionRequest) -> Result<TransactionStanding, Status> {
        let answer = self.client().await.submit_transaction(request).await?.into_inner();
        Ok(TransactionStatus::try_from(answer.status.unwrap()).unwrap().standing)
    }

    pub(super) async fn transaction(&self, signed: &SignedTransaction) -> Result<v1::GetTransactionResponse, Status> {
        let id = signed.transaction().id(self.test.chain.params().genesis_id());
        let id = v1::get_transaction_request::Id::TransactionIdHex(id.to_string());
        let request = v1::GetTransactionRequest { id: Some(id), read_mask: None };
        Ok(self.client().await.get_transaction(request).await?.into_inner())
    }

    async fn account(&self, address: Address) -> v1::GetAccountResponse {
        let text = self.test.chain.params().prefix.format(&address);
        let id = Some(v1::get_account_request::Id::AddressText(text));
        let request = v1::GetAccountRequest { id, with_proof: true };
        self.client().await.get_account(request).await.unwrap().into_inner()
    }
}

fn standing(answer: &v1::GetTransactionResponse) -> TransactionStanding {
    TransactionStatus::try_from(answer.status.clone().unwrap()).unwrap().standing
}

#[tokio::test]
async fn a_transfer_in_either_form_is_pending_then_mined_and_submitting_it_again_tells_its_status() {
    let api = Api::start().await;
    let pay = ALICE.pay(0, BOB.address(), 5);
    assert_eq!(api.submit(typed(&pay)).await.unwrap(), TransactionStanding::Pending);
    assert_eq!(api.submit(canonical(&pay)).await.unwrap(), TransactionStanding::Pending);
    let waiting = api.transaction(&pay).await.unwrap();
    assert_eq!(standing(&waiting), TransactionStanding::Pending);

    let block_id = api.include(vec![pay.clone()], 1).await;
    api.grow(1, 1).await;
    let mined = TransactionStanding::Mined { block_id, height: Height::new(1), index: 1, confirmations: 2 };
    assert_eq!(api.submit(typed(&pay)).await.unwrap(), mined);
    let found = api.transaction(&pay).await.unwrap();
    assert_eq!(standing(&found), mined);
    let (_, read) = read_transaction_view(api.test.chain.params(), found.transaction.unwrap()).unwrap();
    assert_eq!(read, pay);
}

#[tokio::test]
async fn a_transaction_that_nobody_saw_is_not_found() {
    let api = Api::start().await;
    let error = api.transaction(&ALICE.pay(0, BOB.address(), 5)).await.unwrap_err();
    let (code, reason, metadata) = facts(&error);
    assert_eq!((code, reason.as_str()), (Code::NotFound, "TRANSACTION_NOT_FOUND"));
    assert!(metadata.contains_key("transaction_id"));
}

#[tokio::test]
async fn refusals_come_with_the_facts_that_a_wallet_needs() {
    let api = Api::start().await;
    api.include(vec![ALICE.pay(0, BOB.address(), 5)], 1).await;
    let (code, reason, metadata) = facts(&api.submit(typed(&ALICE.pay(0, BOB.address(), 6))).await.unwrap_err());
    assert_eq!((code, reason.as_str()), (Code::FailedPrecondition, "NONCE_TOO_LOW"));
    assert_eq!(metadata["expected_nonce"], "1");

    let forged = SignedTransaction::new(
        ALICE.pay(1, BOB.address(), 6).transaction().clone(),
        ALICE.pay(1, BOB.address(), 7).signature().clone(),
    );
    let (code, reason, _) = facts(&api.submit(typed(&forged.unwrap())).await.unwrap_err());
    assert_eq!((code, reason.as_str()), (Code::InvalidArgument, "BAD_SIGNATURE"));

    let mut malformed = v1::Transaction::from(&ALICE.pay(1, BOB.address(), 6));
    malformed.outputs[0].address = vec![1; 31].into();
    let form = Some(v1::submit_transaction_request::Form::Transaction(malformed));
    let error = api.submit(v1::SubmitTransactionRequest { form }).await.unwrap_err();
    assert_eq!(error.message(), "transaction.outputs[0].address: expected 32 bytes, got 31");
    assert_eq!(facts(&error).2["field"], "transaction.outputs[0].address");
}

#[tokio::test]
async fn each_transfer_of_a_batch_gets_its_own_verdict() {
    use v1::submit_transactions_result::Verdict;
    let api = Api::start().await;
    let mined = BOB.pay(0, ALICE.address(), 1);
    api.include(vec![mined.clone()], 1).await;
    let good = ALICE.pay(0, BOB.address(), 5);
    let poor = ALICE.pay(1, BOB.address(), 2_000_000);
    let transactions_bytes =
        [good.to_canonical(), vec![1, 2, 3], poor.to_canonical(), mined.to_canonical(), good.to_canonical()];
    let request =
        v1::SubmitTransactionsRequest { transactions_bytes: transactions_bytes.map(Into::into).into_iter().collect() };
    let answer = api.client().await.submit_transactions(request).await.unwrap().into_inner();
    let verdicts: Vec<String> = answer
        .results
        .into_iter()
        .map(|result| match result.verdict.unwrap() {
            Verdict::Status(status) => status.state().as_str_name().to_owned(),
            Verdict::Error(error) => {
                let info = error.get_details_error_info().unwrap();
                format!("{}: {}", info.reason, info.metadata.get("field").map_or("", |f| f))
            }
        })
        .collect();
    let expected = [
        "TRANSACTION_STATE_PENDING",
        "INVALID_TRANSACTION: transactions_bytes[1]",
        "INSUFFICIENT_BALANCE: ",
        "TRANSACTION_STATE_MINED",
        "TRANSACTION_STATE_PENDING",
    ];
    assert_eq!(verdicts, expected);
}

#[tokio::test]
async fn a_batch_is_neither_empty_nor_longer_than_its_limit() {
    let api = Api::start().await;
    for count in [0, super::super::MAX_BATCH + 1] {
        let transactions_bytes = vec![vec![1].into(); count];
        let request = v1::SubmitTransactionsRequest { transactions_bytes };
        let error = api.client().await.submit_transactions(request).await.unwrap_err();
        let expected = format!("transactions_bytes: expected 1 to 1000 transactions, got {count}");
        assert_eq!((facts(&error).0, error.message()), (Code::InvalidArgument, expected.as_str()));
    }
}

#[tokio::test]
async fn a_node_that_syncs_takes_no_transfers_but_answers() {
    let api = Api::start().await;
    let (mined, pending) = (ALICE.pay(0, BOB.address(), 5), ALICE.pay(1, BOB.address(), 5));
    api.include(vec![mined.clone()], 1).await;
    assert_eq!(api.submit(typed(&pending)).await.unwrap(), TransactionStanding::Pending);
    api.network.0.send_replace(true);
    // What it has is no news to it.
    assert_eq!(api.submit(typed(&pending)).await.unwrap(), TransactionStanding::Pending);
    assert!(matches!(api.submit(typed(&mined)).await.unwrap(), TransactionStanding::Mined { .. }));
    let error = api.submit(typed(&ALICE.pay(2, BOB.address(), 5))).await.unwrap_err();
    assert_eq!((facts(&error).0, facts(&error).1.as_str()), (Code::Unavailable, "SYNCING"));
    assert!(error.get_error_details().retry_info().is_some());
    assert!(api.account(ALICE.address()).await.exists);
    let info = api.client().await.get_node_info(v1::GetNodeInfoRequest {}).await.unwrap().into_inner();
    assert_eq!(info.sync_state(), v1::SyncState::Syncing);
    let progress = v1::SyncProgress {
        target_height: 25,
        blocks_per_second: 4.0,
        remaining_ms: 5_000,
        phase: v1::SyncPhase::Blocks.into(),
        ..v1::SyncProgress::default()
    };
    assert_eq!(info.sync_progress, Some(progress));
}

#[tokio::test]
async fn an_account_is_proven_present_or_absent_at_every_tip() {
    let api = Api::start().await;
    for nonce in 0..5 {
        for address in [ALICE.address(), BOB.address(), STRANGER] {
            let answer = api.account(address).await;
            let view = api.test.chain.view();
            let proof = AnchoredProof::try_from(answer.proof.unwrap()).unwrap();
            assert_eq!((proof.header.id(), proof.height), (view.tip.id(), view.tip.height()));
            let proven = proof.verify(&address).unwrap();
            assert_eq!(proven, view.account(&address));
            assert_eq!(proven.is_some(), answer.exists);
            assert_eq!(Account::try_from(answer.account.unwrap()), Ok(proven.unwrap_or_default()));
            assert_eq!(answer.tip.unwrap().block_id_hex, view.tip.id().to_string());
        }
        let to = if nonce == 2 { STRANGER } else { BOB.address() };
        api.include(vec![ALICE.pay(nonce, to, 5)], 1).await;
    }
}

#[tokio::test]
async fn an_account_shows_what_waits_for_it_in_the_mempool() {
    let api = Api::start().await;
    let payments = [ALICE.pay(0, BOB.address(), 5), ALICE.pay(1, BOB.address(), 7)];
    for pay in &payments {
        api.submit(typed(pay)).await.unwrap();
    }
    let alice = api.account(ALICE.address()).await;
    assert_eq!(alice.next_pending_nonce, 2);
    let leaving = Mites::checked_sum(payments.iter().map(|pay| pay.transaction().total())).unwrap();
    assert_eq!(alice.pending_out_mites, leaving.get());
    assert_eq!(alice.account.unwrap().next_nonce, 0);
    let bob = api.account(BOB.address()).await;
    assert_eq!((bob.next_pending_nonce, bob.pending_in_mites), (0, Mites::from_far(12).unwrap().get()));
}

#[tokio::test]
async fn an_address_of_another_network_is_refused() {
    let api = Api::start().await;
    let text = farthing::Network::Main.params().prefix.format(&STRANGER);
    let id = Some(v1::get_account_request::Id::AddressText(text));
    let request = v1::GetAccountRequest { id, with_proof: false };
    let error = api.client().await.get_account(request).await.unwrap_err();
    assert_eq!((facts(&error).0, facts(&error).1.as_str()), (Code::InvalidArgument, "WRONG_ADDRESS_PREFIX"));
}

#[tokio::test]
async fn pages_of_the_mempool_list_every_transfer_once_in_order() {
    let api = Api::start().await;
    let payments: Vec<_> = (0..5).map(|nonce| ALICE.pay(nonce, BOB.address(), 1)).collect();
    for pay in &payments {
        api.submit(typed(pay)).await.unwrap();
    }
    let (mut nonces, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = v1::GetMempoolRequest { page_size: 2, page_token, read_mask: None };
        let page = api.client().await.get_mempool(request).await.unwrap().into_inner();
        assert_eq!(page.total_transactions, 5);
        let bytes: usize = payments.iter().map(SignedTransaction::size_bytes).sum();
        assert_eq!(page.total_bytes, bytes as u64);
        for entry in page.entries {
            assert_eq!(entry.state(), v1::TransactionState::Pending);
            assert_eq!(entry.received_ms, api.test.now().get());
            nonces.push(entry.transaction.unwrap().transaction.unwrap().nonce);
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(nonces, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_node_says_what_it_is() {
    let api = Api::start().await;
    api.grow(3, 1).await;
    api.submit(typed(&ALICE.pay(0, BOB.address(), 5))).await.unwrap();
    let info = api.client().await.get_node_info(v1::GetNodeInfoRequest {}).await.unwrap().into_inner();
    let view = api.test.chain.view();
    assert_eq!((info.network.as_str(), info.address_prefix.as_str()), ("dev", "dfar"));
    assert_eq!(info.genesis_id_hex, api.test.chain.params().genesis_id().to_string());
    assert_eq!(info.tip.as_ref().unwrap().block_id_hex, view.tip.id().to_string());
    assert_eq!((info.best_header_height, info.sync_state()), (3, v1::SyncState::Synced));
    assert_eq!((info.mempool_transactions, info.accounts), (1, view.accounts.len() as u64));
    assert_eq!(info.accounts_root.as_ref(), view.accounts.root().as_bytes());
    assert_eq!(info.supply_mites, view.supply.get());
    assert_eq!(info.time_ms, api.test.now().get());
    assert_eq!((info.peers.len(), info.peers[0].inbound, info.peers[0].height), (1, true, 3));
    assert!(info.version.starts_with("farthing-node/"), "{}", info.version);
}

/// The mempool follows the chain a moment later than those who watch it.
#[tokio::test]
async fn whoever_has_seen_a_block_may_spend_what_it_pays_at_once() {
    let api = Api::start().await;
    for n in 0..20 {
        // Each time bob gets a little and passes on all that he has, but for the fee.
        let block = mine(&dev(), &api.test.chain.view(), vec![ALICE.pay(n, BOB.address(), 5)], 1);
        api.test.chain.submit_block(block, Origin::Local).await.unwrap();
        let balance = api.test.chain.view().account(&BOB.address()).unwrap().balance;
        let far = balance.get() / farthing::amount::MITES_PER_FAR - 1;
        let spent = BOB.pay(n, ALICE.address(), far);
        assert_eq!(api.submit(typed(&spent)).await.unwrap(), TransactionStanding::Pending, "round {n}");
        api.include(vec![spent], 1).await;
    }
}
