//! Prices, and the figures behind them.

use farthing::{Address, codec::Canonical as _, keys::KeySize};
use futures_util::FutureExt as _;
use v1::estimate_fee_request::Subject;

use super::*;
use crate::testing::{ALICE, BOB};

const STRANGER: Address = Address::from_bytes([9; 32]);

impl Api {
    async fn estimate(&self, subject: Subject) -> Result<v1::EstimateFeeResponse, Status> {
        let request = v1::EstimateFeeRequest { subject: Some(subject) };
        Ok(self.client().await.estimate_fee(request).await?.into_inner())
    }

    async fn fees(&self) -> v1::GetFeesResponse {
        self.client().await.get_fees(v1::GetFeesRequest {}).await.unwrap().into_inner()
    }
}

fn shape(recipients: &[Address]) -> v1::TransactionShape {
    let recipients = recipients.iter().map(|address| address.to_bytes().to_vec().into()).collect();
    v1::TransactionShape { recipients, ..v1::TransactionShape::default() }
}

#[tokio::test]
async fn where_nothing_waits_the_floor_buys_the_next_block_and_accounts_are_paid_for_beside_it() {
    let api = Api::start().await;
    let pay = ALICE.pay(1, BOB.address(), 5);
    let answer = api.estimate(Subject::Shape(shape(&[BOB.address()]))).await.unwrap();
    assert_eq!(
        (answer.size_bytes as usize, answer.key_bits),
        (pay.size_bytes(), 2_048),
        "as large as a later transfer"
    );
    let floor = v1::FeeEstimate {
        fee_mites: 100 * pay.size_bytes() as u64,
        rate_mites_per_byte: 100,
        burned_mites: 0,
        expected_within_blocks: 1,
        expected_by_height: 1,
    };
    assert_eq!((answer.slow, answer.normal, answer.fast), (Some(floor), Some(floor), Some(floor)));
    // Twice the same new account, and one that exists.
    let answer = api.estimate(Subject::Shape(shape(&[STRANGER, BOB.address(), STRANGER]))).await.unwrap();
    // Either form of an address names the same account.
    let text = dev().prefix.format(&STRANGER);
    let shape = v1::TransactionShape { recipient_texts: vec![text], ..shape(&[STRANGER, BOB.address()]) };
    assert_eq!(api.estimate(Subject::Shape(shape)).await.unwrap(), answer);
    let fast = answer.fast.unwrap();
    assert_eq!((fast.burned_mites, fast.fee_mites), (10_000_000, 10_000_000 + 100 * u64::from(answer.size_bytes)));
}

#[tokio::test]
async fn a_typed_transfer_is_estimated_before_it_is_signed_and_the_fee_does() {
    let api = Api::start().await;
    let pay = ALICE.pay(0, STRANGER, 5);
    let mut message = v1::Transaction { signature: Vec::new().into(), ..v1::Transaction::from(&pay) };
    let answer = api.estimate(Subject::Transaction(message.clone())).await.unwrap();
    assert_eq!((answer.size_bytes as usize, answer.key_bits), (pay.to_canonical().len(), 2_048));
    message.fee_mites = answer.fast.unwrap().fee_mites;
    let transaction = farthing::wire::Draft::try_from(message).unwrap().transaction().clone();
    let form = v1::submit_transaction_request::Form::Transaction((&ALICE.sign(transaction)).into());
    let request = v1::SubmitTransactionRequest { form: Some(form) };
    let status = api.client().await.submit_transaction(request).await.unwrap().into_inner().status.unwrap();
    assert_eq!(status.state(), v1::TransactionState::Pending);
}

#[tokio::test]
async fn what_waits_and_what_was_mined_is_told_with_the_rates_that_were_left_for_miners() {
    let api = Api::start().await;
    // The first of two opens an account, which burns half of its fee.
    let mined = vec![ALICE.pay(0, STRANGER, 5), ALICE.pay(1, STRANGER, 5)];
    let sizes: Vec<u64> = mined.iter().map(|signed| signed.size_bytes() as u64).collect();
    let id = api.include(mined, 1).await;
    api.grow(1, 1).await;
    let waiting = ALICE.pay(2, BOB.address(), 5);
    let form = v1::submit_transaction_request::Form::Transaction((&waiting).into());
    api.client().await.submit_transaction(v1::SubmitTransactionRequest { form: Some(form) }).await.unwrap();

    let fees = api.fees().await;
    assert_eq!((fees.floor_mites_per_byte, fees.opening_cost_mites), (100, 10_000_000));
    assert_eq!(fees.tip.as_ref().unwrap().height, 2);
    let rates = [10_000_000 / sizes[0], 20_000_000 / sizes[1]];
    let [empty, paid] = &fees.recent_blocks[..] else { panic!("{:?}", fees.recent_blocks) };
    assert_eq!((empty.height, empty.transaction_count, empty.median_rate_mites_per_byte), (2, 0, 0));
    assert_eq!((paid.height, &paid.block_id_hex, paid.transaction_count), (1, &id.to_string(), 2));
    assert_eq!((paid.min_rate_mites_per_byte, paid.p10_rate_mites_per_byte), (rates[0], rates[0]));
    assert_eq!((paid.median_rate_mites_per_byte, paid.p90_rate_mites_per_byte), (rates[0], rates[1]));

    let [block] = &fees.projected_blocks[..] else { panic!("{:?}", fees.projected_blocks) };
    let rate = 20_000_000 / waiting.size_bytes() as u64;
    assert_eq!((block.transaction_count, block.min_rate_mites_per_byte), (1, rate));
    let taken: Vec<_> = fees.levels.iter().filter(|level| level.transaction_count > 0).collect();
    let [level] = &taken[..] else { panic!("{taken:?}") };
    assert_eq!((level.min_rate_mites_per_byte, level.size_bytes), (50_000, waiting.size_bytes() as u64));
    assert!(fees.levels.is_sorted_by_key(|level| level.min_rate_mites_per_byte));
    // A block that was not full asks no more than the floor.
    let answer = api.estimate(Subject::Shape(shape(&[BOB.address()]))).await.unwrap();
    assert_eq!(answer.fast.unwrap().rate_mites_per_byte, 100);
}

#[tokio::test]
async fn figures_are_those_of_the_branch_that_is_the_best() {
    let api = Api::start().await;
    let genesis = (*api.test.chain.view()).clone();
    api.include(vec![ALICE.pay(0, BOB.address(), 5)], 1).await;
    assert_eq!(api.fees().await.recent_blocks.len(), 1);
    let (one, view) = next_on(&genesis, Vec::new(), 2);
    let (two, _) = next_on(&view, Vec::new(), 2);
    let expected = [two.id().to_string(), one.id().to_string()];
    for block in [one, two] {
        api.test.chain.submit_block(block, Origin::Local).await.unwrap();
    }
    let told: Vec<_> = api.fees().await.recent_blocks.into_iter().map(|block| block.block_id_hex).collect();
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_shape_that_cannot_be_is_refused_by_name() {
    let api = Api::start().await;
    let error = api.client().await.estimate_fee(v1::EstimateFeeRequest { subject: None }).await.unwrap_err();
    assert_eq!((facts(&error).1.as_str(), error.message()), ("MISSING_FIELD", "subject: is required"));
    type Change = fn(&mut v1::TransactionShape);
    let table: [(Change, &str); 5] = [
        (|shape| shape.size_bytes = 365, "shape.size_bytes: expected 366 to 4096, got 365"),
        (|shape| shape.key_bits = 1_024, "shape.key_bits: expected 2048, 3072 or 4096"),
        (|shape| shape.recipients = vec![vec![1; 31].into()], "shape.recipients[0]: expected 32 bytes, got 31"),
        (
            |shape| shape.recipients = vec![vec![1; 32].into(); 65],
            "shape.recipients: expected 0 to 64 addresses, got 65",
        ),
        (
            |shape| {
                shape.recipients = vec![vec![1; 32].into(); 64];
                shape.recipient_texts = vec![String::new()];
            },
            "shape.recipients: expected 0 to 64 addresses, got 65",
        ),
    ];
    for (change, message) in table {
        let mut shape = shape(&[]);
        change(&mut shape);
        let error = api.estimate(Subject::Shape(shape)).await.unwrap_err();
        assert_eq!((facts(&error).1.as_str(), error.message()), ("INVALID_FIELD", message));
    }
    let larger = v1::TransactionShape { key_bits: 4_096, ..shape(&[]) };
    let answer = api.estimate(Subject::Shape(larger)).await.unwrap();
    assert_eq!(answer.size_bytes as usize, 366 - 256 + KeySize::Bits4096.bytes());
}

#[tokio::test]
async fn figures_that_nobody_waits_for_any_more_are_kept_for_the_next_who_asks() {
    let api = Api::start().await;
    let book = crate::rpc::fees::FeeBook::new();
    for _ in 0..100 {
        assert!(crate::rpc::fees::get(&api.deps, &book).now_or_never().is_none(), "given up at once");
    }
    let made = async {
        while !book.is_made() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), made).await.expect("the work of those who left is not lost");
    assert!(crate::rpc::fees::get(&api.deps, &book).now_or_never().is_some(), "and it is the answer");
}
