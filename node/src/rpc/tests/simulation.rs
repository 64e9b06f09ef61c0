//! What would happen, held against what does.

use farthing::{
    Address, Mites, Output, SignedTransaction, Transaction, amount::MITES_PER_FAR, codec::Canonical as _,
    tx::TransactionFields, wire::v1::ledger_service_server::LedgerService as _,
};
use tonic::{Request, transport::server::TcpConnectInfo};
use v1::simulate_transaction_response::Verdict;

use super::*;
use crate::{
    rpc::ledger::LedgerApi,
    testing::{ALICE, BOB},
};

const STRANGER: Address = Address::from_bytes([9; 32]);

fn canonical(signed: &SignedTransaction) -> v1::SimulateTransactionRequest {
    let form = v1::simulate_transaction_request::Form::TransactionBytes(signed.to_canonical().into());
    v1::SimulateTransactionRequest { form: Some(form) }
}

fn unsigned(signed: &SignedTransaction) -> v1::SimulateTransactionRequest {
    let message = v1::Transaction { signature: Vec::new().into(), ..v1::Transaction::from(signed) };
    let form = v1::simulate_transaction_request::Form::Transaction(message);
    v1::SimulateTransactionRequest { form: Some(form) }
}

fn with(signed: &SignedTransaction, change: impl FnOnce(&mut TransactionFields)) -> SignedTransaction {
    let transaction = signed.transaction();
    let mut fields = TransactionFields {
        sender: transaction.sender().clone(),
        nonce: transaction.nonce(),
        fee: transaction.fee(),
        valid_until: transaction.valid_until(),
        outputs: transaction.outputs().to_vec(),
        memo: transaction.memo().to_vec(),
    };
    change(&mut fields);
    ALICE.sign(Transaction::new(fields).unwrap())
}

impl Api {
    async fn simulate(&self, request: v1::SimulateTransactionRequest) -> v1::SimulateTransactionResponse {
        self.client().await.simulate_transaction(request).await.unwrap().into_inner()
    }

    async fn really(&self, signed: &SignedTransaction) -> Result<v1::TransactionStatus, Status> {
        let form = v1::submit_transaction_request::Form::TransactionBytes(signed.to_canonical().into());
        let request = v1::SubmitTransactionRequest { form: Some(form) };
        Ok(self.client().await.submit_transaction(request).await?.into_inner().status.unwrap())
    }
}

#[tokio::test]
async fn a_transfer_is_foreseen_before_it_is_signed() {
    let api = Api::start().await;
    let (one, two) = (Mites::from_far(1).unwrap(), Mites::from_far(2).unwrap());
    let pay = with(&ALICE.pay(0, BOB.address(), 5), |fields| {
        let to = |to, amount| Output { to, amount };
        fields.outputs = vec![to(BOB.address(), one), to(STRANGER, one), to(STRANGER, two)];
        fields.fee = Mites::new(11_000_000);
    });
    let answer = api.simulate(unsigned(&pay)).await;
    let Some(Verdict::Status(status)) = answer.verdict else { panic!("{answer:?}") };
    assert_eq!(status.state(), v1::TransactionState::Pending);
    let id = pay.transaction().id(dev().genesis_id()).to_string();
    assert_eq!((&status.transaction_id_hex, &answer.transaction_id_hex), (&id, &id));
    assert!(!answer.signature_checked);
    assert_eq!(answer.size_bytes as usize, pay.size_bytes());
    let floor = 100 * pay.size_bytes() as u64;
    let fee = v1::SimulatedFee {
        fee_mites: 11_000_000,
        required_fee_mites: 10_000_000 + floor,
        floor_mites: floor,
        burned_mites: 10_000_000,
        opening_output_indexes: vec![1],
    };
    assert_eq!(answer.fee, Some(fee));
    let before = api.test.chain.view().account(&ALICE.address()).unwrap().balance.get();
    let sender = answer.sender.unwrap();
    assert_eq!((sender.confirmed_balance_mites, sender.balance_before_mites), (before, before));
    assert_eq!(sender.balance_after_mites, before - pay.transaction().total().get());
    assert_eq!((sender.next_nonce_before, sender.next_nonce_after), (0, 1));
    let effects: Vec<_> = answer
        .outputs
        .iter()
        .map(|output| (output.opens_account, output.balance_after_mites - output.balance_before_mites))
        .collect();
    assert_eq!(effects, [(false, MITES_PER_FAR), (true, MITES_PER_FAR), (false, 2 * MITES_PER_FAR)]);
    assert_eq!(answer.outputs[2].balance_after_mites, 3 * MITES_PER_FAR);
    assert_eq!(api.mempool.stats(), mempool::PoolStats::default(), "nothing was stored");
}

/// Verdicts, balances, nonces and what is displaced are those that the submission brings about, for good transfers and bad.
#[tokio::test]
async fn a_simulation_says_what_a_submission_then_does() {
    let api = Api::start().await;
    api.include(vec![ALICE.pay(0, BOB.address(), 5)], 1).await;
    let mined = ALICE.pay(0, BOB.address(), 5);
    let first = ALICE.pay(1, BOB.address(), 5);
    let spoilt = SignedTransaction::new(first.transaction().clone(), mined.signature().clone()).unwrap();
    let dearer = with(&first, |fields| fields.fee = Mites::new(45_000_000));
    let steps = [
        ("MINED", mined.clone()),
        ("NONCE_TOO_LOW", with(&mined, |fields| fields.memo = vec![1])),
        ("BAD_SIGNATURE", spoilt),
        ("QUEUED", ALICE.pay(2, BOB.address(), 6)),
        ("PENDING", first.clone()),
        ("PENDING", first.clone()),
        ("REPLACEMENT_UNDERPAID", with(&first, |fields| fields.fee = Mites::new(20_000_001))),
        ("PENDING", dearer),
        ("INSUFFICIENT_BALANCE", ALICE.pay(3, BOB.address(), 2_000_000)),
        ("FEE_TOO_LOW", with(&ALICE.pay(3, STRANGER, 1), |fields| fields.fee = Mites::new(10_000_000))),
        ("EXPIRES_TOO_SOON", with(&ALICE.pay(3, STRANGER, 1), |fields| fields.valid_until = Some(Height::new(2)))),
        ("TOO_MANY_QUEUED", ALICE.pay(5_000, STRANGER, 1)),
        ("KEY_UNKNOWN", {
            let stranger = ALICE.pay(1, BOB.address(), 1);
            with(&stranger, |fields| fields.sender = farthing::Sender::Address(STRANGER))
        }),
    ];
    let mut displaced = 0;
    for (expected, signed) in steps {
        let before = api.mempool.stats();
        let foreseen = api.simulate(canonical(&signed)).await;
        assert_eq!(api.mempool.stats(), before, "{expected}: a simulation changes nothing");
        let done = api.really(&signed).await;
        let said = match (&foreseen.verdict, &done) {
            (Some(Verdict::Status(foreseen)), Ok(done)) => {
                assert_eq!(foreseen, done);
                done.state().as_str_name().trim_start_matches("TRANSACTION_STATE_").to_owned()
            }
            (Some(Verdict::Error(foreseen)), Err(done)) => {
                assert_eq!((foreseen.code, foreseen.message.as_str()), (done.code() as i32, done.message()));
                let info = foreseen.get_details_error_info().unwrap();
                assert_eq!((&info.reason, &info.metadata), (&facts(done).1, &facts(done).2));
                info.reason
            }
            other => panic!("{expected}: {other:?}"),
        };
        // A stranger without an account cannot pay, which is found before its key is missed.
        let either = [expected, if expected == "KEY_UNKNOWN" { "INSUFFICIENT_BALANCE" } else { expected }];
        assert!(either.contains(&said.as_str()), "{expected}: {said}");
        let sender = foreseen.sender.unwrap();
        let address = Address::try_from(&sender.address[..]).unwrap();
        let pending = api.mempool.account_pending(&address);
        let left = sender.confirmed_balance_mites - pending.outgoing.get();
        assert_eq!((sender.next_nonce_after, sender.balance_after_mites), (pending.next_nonce, left), "{expected}");
        for gone in foreseen.displaced {
            let id = Some(v1::get_transaction_request::Id::TransactionId(gone.transaction_id));
            let request = v1::GetTransactionRequest { id, read_mask: None };
            let status = api.client().await.get_transaction(request).await.unwrap().into_inner().status.unwrap();
            assert_eq!((status.state(), status.reason), (v1::TransactionState::Replaced, gone.reason));
            displaced += 1;
        }
    }
    assert_eq!(displaced, 1);
}

#[tokio::test]
async fn a_fee_that_is_told_is_enough_and_one_mite_less_is_not() {
    let api = Api::start().await;
    let first = ALICE.pay(0, BOB.address(), 5);
    api.really(&first).await.unwrap();
    let opening = with(&first, |fields| fields.outputs[0].to = STRANGER);
    // A replacement that opens an account: it pays for what it displaces and burns too.
    let required = api.simulate(unsigned(&opening)).await.fee.unwrap().required_fee_mites;
    assert!(required > 30_000_000, "{required}");
    let paying = |fee| with(&opening, |fields| fields.fee = Mites::new(fee));
    let error = api.really(&paying(required - 1)).await.unwrap_err();
    assert_eq!(facts(&error).1, "REPLACEMENT_UNDERPAID");
    assert_eq!(facts(&error).2["required_fee_mites"], required.to_string());
    let good = api.simulate(canonical(&paying(required))).await;
    assert_eq!(good.fee.unwrap().required_fee_mites, required, "the same where it is paid");
    assert_eq!(good.displaced.len(), 1);
    api.really(&paying(required)).await.unwrap();
}

#[tokio::test]
async fn wrong_signatures_are_charged_as_if_they_were_submitted() {
    let api = Api::start().await;
    let service = LedgerApi::new(api.deps.clone());
    let pay = ALICE.pay(0, BOB.address(), 5);
    let spoilt = |mark: u8| {
        let mut bytes = pay.to_canonical();
        *bytes.last_mut().unwrap() ^= mark;
        let form = v1::simulate_transaction_request::Form::TransactionBytes(bytes.into());
        let mut request = Request::new(v1::SimulateTransactionRequest { form: Some(form) });
        let remote_addr = Some("192.0.2.1:1".parse().unwrap());
        request.extensions_mut().insert(TcpConnectInfo { local_addr: None, remote_addr });
        request
    };
    for mark in 0..=200 {
        let answer = service.simulate_transaction(spoilt(mark)).await.unwrap().into_inner();
        assert!(answer.signature_checked);
        assert_eq!(matches!(answer.verdict, Some(Verdict::Error(_))), mark > 0);
    }
    // 200 at once; the time in which they were judged has not passed on this clock.
    service.simulate_transaction(spoilt(201)).await.unwrap();
    let error = service.simulate_transaction(spoilt(0)).await.unwrap_err();
    assert_eq!(facts(&error).1, "SOURCE_LIMITED");
}

#[tokio::test]
async fn what_is_no_transfer_cannot_be_simulated() {
    let api = Api::start().await;
    let empty = v1::SimulateTransactionRequest { form: None };
    let error = api.client().await.simulate_transaction(empty).await.unwrap_err();
    assert_eq!((facts(&error).1.as_str(), error.message()), ("MISSING_FIELD", "form: is required"));
    let form = Some(v1::simulate_transaction_request::Form::TransactionBytes(vec![1, 2, 3].into()));
    let error = api.client().await.simulate_transaction(v1::SimulateTransactionRequest { form }).await.unwrap_err();
    assert_eq!((facts(&error).0, facts(&error).1.as_str()), (Code::InvalidArgument, "INVALID_TRANSACTION"));
}
