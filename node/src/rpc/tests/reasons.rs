//! Every reason is provoked over a connection: here, unless another test does it. A reason without a test is found.

use std::{collections::BTreeSet, fs, path::Path};

use farthing::{
    Address, Mites, Output, Sender, Transaction, codec::Canonical as _, params::ParamsFields, tx::TransactionFields,
};
use tonic::Request;

use super::*;
use crate::{
    mempool::JournalError,
    rpc::{Reason, error::LISTENER_REASONS},
    server::{MethodPolicy, calls, exceeding},
    testing::{ALICE, BOB, TestKey},
};

/// The test that provokes each reason: it names it as a text.
const TESTS: &[(&str, &str)] = &[
    ("MISSING_FIELD", "a_block_that_does_not_exist_is_not_found_by_name"),
    ("INVALID_FIELD", "a_start_that_cannot_be_is_refused_with_its_reason"),
    ("INVALID_ADDRESS", "what_is_not_an_address_or_not_a_transaction_is_told_by_name"),
    ("WRONG_ADDRESS_PREFIX", "an_address_of_another_network_is_refused"),
    ("INVALID_TRANSACTION", "what_is_not_an_address_or_not_a_transaction_is_told_by_name"),
    ("INVALID_PAGE_TOKEN", "a_page_token_of_another_method_is_refused"),
    ("INVALID_CURSOR", "a_start_that_cannot_be_is_refused_with_its_reason"),
    ("BAD_SIGNATURE", "refusals_come_with_the_facts_that_a_wallet_needs"),
    ("TOO_MANY_OPENINGS", "a_transfer_to_more_new_accounts_than_a_block_may_open_is_refused"),
    ("NONCE_TOO_LOW", "refusals_come_with_the_facts_that_a_wallet_needs"),
    ("INSUFFICIENT_BALANCE", "a_transfer_that_the_ledger_or_the_mempool_cannot_take_is_refused_by_name"),
    ("FEE_TOO_LOW", "a_transfer_that_the_ledger_or_the_mempool_cannot_take_is_refused_by_name"),
    ("EXPIRES_TOO_SOON", "a_transfer_that_the_ledger_or_the_mempool_cannot_take_is_refused_by_name"),
    ("REPLACEMENT_UNDERPAID", "a_transfer_that_the_ledger_or_the_mempool_cannot_take_is_refused_by_name"),
    ("KEY_UNKNOWN", "a_transfer_that_the_ledger_or_the_mempool_cannot_take_is_refused_by_name"),
    ("TRANSACTION_NOT_FOUND", "a_transaction_that_nobody_saw_is_not_found"),
    ("TRANSACTION_NOT_MINED", "a_transfer_that_is_not_mined_is_refused_with_its_state"),
    ("TRANSACTION_INDEX_OFF", "a_node_that_cannot_see_what_is_mined_waits_for_nothing_that_it_would_miss"),
    ("BLOCK_NOT_FOUND", "a_block_that_does_not_exist_is_not_found_by_name"),
    ("BLOCK_PRUNED", "what_stands_below_the_checkpoint_is_refused_by_name_and_peers_are_asked_for_it_in_its_place"),
    ("CURSOR_UNKNOWN", "a_start_that_cannot_be_is_refused_with_its_reason"),
    ("REORGANISED", "a_stream_of_headers_whose_tip_leaves_the_chain_ends_by_name_and_says_where_to_go_on"),
    ("HEIGHT_ABOVE_TIP", "a_start_that_cannot_be_is_refused_with_its_reason"),
    ("ACCOUNT_FULL", "a_mempool_without_room_says_what_it_lacks_room_for"),
    ("TOO_MANY_QUEUED", "a_mempool_without_room_says_what_it_lacks_room_for"),
    ("POOL_FULL", "a_mempool_without_room_says_what_it_lacks_room_for"),
    ("SUBSCRIBER_STALLED", "a_reader_that_takes_nothing_is_let_go_and_told_so_with_its_cursor_when_it_reads_again"),
    ("SOURCE_LIMITED", "a_network_that_wastes_work_is_told_over_its_connection_when_to_come_again"),
    ("SYNCING", "a_node_that_syncs_takes_no_transfers_but_answers"),
    ("JOURNAL_FAILED", "what_the_disk_does_not_take_or_give_is_told_by_name"),
    ("STOPPING", "a_stopping_node_says_that_it_drains_and_then_that_it_is_unavailable"),
    ("CONNECTION_EXPIRED", "a_stream_ends_with_draining_and_a_reason_before_its_connection_is_cut_for_its_age"),
    ("STORE_FAILED", "what_the_disk_does_not_take_or_give_is_told_by_name"),
    ("INTERNAL", "what_the_disk_does_not_take_or_give_is_told_by_name"),
    ("REQUEST_TOO_LARGE", "a_request_larger_than_its_method_takes_is_refused_by_name"),
    ("OVERLOADED", "a_listener_without_a_place_for_a_call_says_so"),
    ("RATE_LIMITED", "a_connection_that_calls_too_often_or_too_much_at_a_time_is_told_which"),
    ("TOO_MANY_CALLS", "a_connection_that_calls_too_often_or_too_much_at_a_time_is_told_which"),
    ("DEADLINE_EXCEEDED", "a_method_that_takes_too_long_ends_at_its_deadline_with_a_reason"),
];

/// Reasons that nothing known provokes.
const UNPROVOKED: &[(&str, &str)] = &[(
    "UNUSABLE_KEY",
    "the rules on keys are no wider than the library's: no key is known that they take and it does not",
)];

/// Where tests are.
const SOURCES: &[&str] = &["src/rpc/tests", "src/server/tests.rs", "../tests/checkpoint/mod.rs"];

/// Tests by name with what they are made of.
#[expect(clippy::disallowed_methods, reason = "the sources of this program, not what a node keeps")]
fn tests() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = SOURCES.iter().flat_map(|source| {
        let path = root.join(source);
        if path.is_file() {
            return vec![path];
        }
        fs::read_dir(path).expect("the tests are there").map(|item| item.expect("they can be listed").path()).collect()
    });
    let texts: Vec<String> = files.map(|file| fs::read_to_string(file).expect("a source is text")).collect();
    let functions = texts.iter().flat_map(|text| text.split("\n#[tokio::test").skip(1));
    let named = functions.filter_map(|function| {
        let (_, rest) = function.split_once("async fn ")?;
        let (name, body) = rest.split_once('(')?;
        Some((name.to_owned(), body.split("\n}\n").next()?.to_owned()))
    });
    named.collect()
}

#[test]
fn every_reason_has_a_test_that_provokes_it() {
    let known: BTreeSet<&str> = Reason::ALL
        .iter()
        .map(|reason| reason.as_str())
        .chain(LISTENER_REASONS.iter().map(|(name, _)| *name))
        .collect();
    let told: Vec<&str> = TESTS.iter().chain(UNPROVOKED).map(|(reason, _)| *reason).collect();
    assert_eq!(told.iter().copied().collect::<BTreeSet<_>>(), known, "one row for each reason");
    assert_eq!(told.len(), known.len(), "no reason has two rows");
    let tests = tests();
    for (reason, name) in TESTS {
        let found = tests.iter().find(|(found, _)| found == name);
        let (_, body) = found.unwrap_or_else(|| panic!("{reason}: there is no test {name}"));
        assert!(body.contains(&format!("\"{reason}\"")), "{name} does not name {reason}");
    }
}

/// A transfer of `ALICE` to addresses that nobody has.
fn transfer(key: &TestKey, nonce: u64, change: impl FnOnce(&mut TransactionFields)) -> v1::SubmitTransactionRequest {
    let sender = if nonce == 0 { Sender::Key(key.public.clone()) } else { Sender::Address(key.address()) };
    let outputs = vec![Output { to: BOB.address(), amount: Mites::new(1) }];
    let fee = Mites::new(20_000_000);
    let mut fields = TransactionFields { sender, nonce, fee, valid_until: None, outputs, memo: Vec::new() };
    change(&mut fields);
    handed_in(key.sign(Transaction::new(fields).unwrap()).to_canonical())
}

fn handed_in(bytes: Vec<u8>) -> v1::SubmitTransactionRequest {
    let form = v1::submit_transaction_request::Form::TransactionBytes(bytes.into());
    v1::SubmitTransactionRequest { form: Some(form) }
}

impl Api {
    /// The reason for which a transfer is refused; none if it is taken.
    async fn refusal(&self, request: v1::SubmitTransactionRequest) -> Option<String> {
        let answer = self.client().await.submit_transaction(request).await;
        answer.err().map(|status| facts(&status).1)
    }

    async fn refused(&self, reason: &str, request: v1::SubmitTransactionRequest) {
        assert_eq!(self.refusal(request).await.as_deref(), Some(reason));
    }

    async fn taken(&self, request: v1::SubmitTransactionRequest) {
        assert_eq!(self.refusal(request).await, None);
    }
}

#[tokio::test]
async fn what_is_not_an_address_or_not_a_transaction_is_told_by_name() {
    let api = Api::start().await;
    let id = Some(v1::get_account_request::Id::AddressText("dfar1nonsense".to_owned()));
    let request = v1::GetAccountRequest { id, with_proof: false };
    let error = api.client().await.get_account(request).await.unwrap_err();
    assert_eq!(facts(&error).1, "INVALID_ADDRESS");
    api.refused("INVALID_TRANSACTION", handed_in(vec![1, 2, 3])).await;
}

#[tokio::test]
async fn a_transfer_to_more_new_accounts_than_a_block_may_open_is_refused() {
    // Only the mempool's rules are other ones: it refuses this before it looks at signatures, which are for a network.
    let fields = ParamsFields { max_openings: 1, ..(**dev()).clone() };
    let pool = Pool { params: Arc::new(Params::new(fields).unwrap()), ..Pool::default() };
    let api = Api::start_of(pool, |_| ()).await;
    let strangers = [[8; 32], [9; 32]].map(|bytes| Output { to: Address::from_bytes(bytes), amount: Mites::new(1) });
    api.refused("TOO_MANY_OPENINGS", transfer(&ALICE, 0, |fields| fields.outputs = strangers.to_vec())).await;
}

#[tokio::test]
async fn a_transfer_that_the_ledger_or_the_mempool_cannot_take_is_refused_by_name() {
    let api = Api::start().await;
    let too_much = Mites::from_far(9_000_000).unwrap();
    api.refused("INSUFFICIENT_BALANCE", transfer(&ALICE, 0, |fields| fields.outputs[0].amount = too_much)).await;
    api.refused("FEE_TOO_LOW", transfer(&ALICE, 0, |fields| fields.fee = Mites::new(1))).await;
    api.refused("EXPIRES_TOO_SOON", transfer(&ALICE, 0, |fields| fields.valid_until = Some(Height::new(1)))).await;
    api.refused("KEY_UNKNOWN", transfer(&ALICE, 1, |_| ())).await;
    api.taken(transfer(&ALICE, 0, |_| ())).await;
    api.refused("REPLACEMENT_UNDERPAID", transfer(&ALICE, 0, |fields| fields.memo = vec![1])).await;
}

#[tokio::test]
async fn a_mempool_without_room_says_what_it_lacks_room_for() {
    let limits = PoolLimits { executable_per_account: 3, queued_per_account: 1, ..PoolLimits::default() };
    let api = Api::start_of(Pool { limits, ..Pool::default() }, |_| ()).await;
    api.taken(transfer(&ALICE, 0, |_| ())).await;
    api.taken(transfer(&ALICE, 2, |_| ())).await;
    api.refused("TOO_MANY_QUEUED", transfer(&ALICE, 3, |_| ())).await;
    for nonce in 0..3 {
        api.taken(transfer(&BOB, nonce, |_| ())).await;
    }
    api.refused("ACCOUNT_FULL", transfer(&BOB, 3, |_| ())).await;

    let limits = PoolLimits { bytes: 1_000, ..PoolLimits::default() };
    let api = Api::start_of(Pool { limits, ..Pool::default() }, |_| ()).await;
    api.taken(transfer(&ALICE, 0, |_| ())).await;
    api.refused("POOL_FULL", transfer(&BOB, 0, |_| ())).await;
}

#[tokio::test]
async fn what_the_disk_does_not_take_or_give_is_told_by_name() {
    let journal = MemoryJournal::default();
    let api = Api::start_of(Pool { journal: journal.clone(), ..Pool::default() }, |_| ()).await;
    api.include(vec![ALICE.pay(0, BOB.address(), 5)], 1).await;
    let path = "/data/mempool.journal".into();
    journal.fail_with(Some(JournalError::DiskFull { path, needed: 9, free: 0 }));
    api.refused("JOURNAL_FAILED", transfer(&ALICE, 1, |_| ())).await;

    let mut client = api.client().await;
    api.test.store.lose_effects();
    let id = v1::list_account_entries_request::Id::Address(ALICE.address().to_bytes().to_vec().into());
    let request = v1::ListAccountEntriesRequest { id: Some(id), ..Default::default() };
    assert_eq!(facts(&client.list_account_entries(request).await.unwrap_err()).1, "INTERNAL");
    api.test.store.make_unreadable();
    let id = v1::get_transaction_request::Id::TransactionId(vec![7; 32].into());
    let error = client.get_transaction(v1::GetTransactionRequest { id: Some(id), read_mask: None }).await.unwrap_err();
    assert_eq!(facts(&error).1, "STORE_FAILED");
}

#[tokio::test]
async fn a_network_that_wastes_work_is_told_over_its_connection_when_to_come_again() {
    let api = Api::start().await;
    let settings = ServerSettings::public(methods(&dev()));
    exceeding::from_elsewhere(routes(&api.deps).await.unwrap(), settings, async |channel| {
        let mut client = LedgerServiceClient::new(channel);
        let good = ALICE.pay(0, BOB.address(), 5).to_canonical();
        let spoilt = (1..=250).map(|mark| {
            let mut bytes = good.clone();
            *bytes.last_mut().unwrap() ^= mark;
            bytes.into()
        });
        let batch = v1::SubmitTransactionsRequest { transactions_bytes: spoilt.collect() };
        client.submit_transactions(batch).await.unwrap();
        let error = client.submit_transaction(handed_in(good)).await.unwrap_err();
        let (_, reason, metadata) = facts(&error);
        assert_eq!(reason, "SOURCE_LIMITED");
        assert!(metadata["retry_after_ms"].parse::<u64>().unwrap() > 0);
    })
    .await;
}

#[tokio::test]
async fn a_listener_without_a_place_for_a_call_says_so() {
    let api = Api::start_with(|settings| (settings.own_calls, settings.short_calls.total) = (0, 0)).await;
    let error = api.client().await.get_limits(v1::GetLimitsRequest {}).await.unwrap_err();
    assert_eq!(facts(&error).1, "OVERLOADED");
    assert!(error.get_error_details().retry_info().is_some());
}

#[tokio::test]
async fn a_connection_that_calls_too_often_or_too_much_at_a_time_is_told_which() {
    let api = Api::start_with(|settings| {
        settings.counts_own_machine = true;
        let stream = MethodPolicy::server_stream(4_096, calls(1, 1, 100));
        let once = MethodPolicy::unary(4_096, calls(8, 1, 1));
        settings.methods = methods(&dev())
            .with("/farthing.v1.LedgerService/SubscribeBlocks", stream)
            .with("/farthing.v1.LedgerService/GetLimits", once);
    })
    .await;
    let mut client = api.client().await;
    client.get_limits(v1::GetLimitsRequest {}).await.unwrap();
    let error = client.get_limits(v1::GetLimitsRequest {}).await.unwrap_err();
    assert_eq!(facts(&error).1, "RATE_LIMITED");
    let _open = client.subscribe_blocks(Request::new(v1::SubscribeBlocksRequest::default())).await.unwrap();
    let error = client.subscribe_blocks(v1::SubscribeBlocksRequest::default()).await.unwrap_err();
    assert_eq!(facts(&error).1, "TOO_MANY_CALLS");
}
