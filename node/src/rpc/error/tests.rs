//! Every reason: its code, its details on the wire, its line in the documentation.

use std::{collections::BTreeMap, sync::Arc};

use farthing::{
    Address, Height, Mites, TxId,
    keys::SignatureError,
    wire::{AddressLookup, BlockLookup, v1},
};
use tonic_types::RpcStatusExt as _;

use super::*;
use crate::mempool::{DropReason, RejectionKind};

#[test]
fn the_documentation_lists_exactly_the_reasons_of_the_code() {
    let of_methods = Reason::ALL.iter().map(|reason| (reason.as_str(), reason.code()));
    let code = of_methods.chain(LISTENER_REASONS.iter().copied());
    let code: BTreeMap<_, _> = code.map(|(reason, code)| (reason.to_owned(), documented::code_name(code))).collect();
    let page: BTreeMap<_, _> = documented::reasons().into_iter().map(|row| (row.reason, row.code)).collect();
    assert_eq!(page, code);
}

#[test]
fn the_documentation_lists_exactly_the_reasons_of_dropped_transactions() {
    let codes = (0..=u8::MAX).flat_map(|code| [None, Some(TxId::ZERO)].map(|by| DropReason::from_code(code, by)));
    let mut code: Vec<_> = codes.flatten().map(|reason| reason.reason().to_owned()).collect();
    code.sort();
    assert_eq!(documented::dropped(), code);
}

#[test]
fn every_reason_is_a_status_with_its_name_and_retry_information_where_waiting_helps() {
    for reason in Reason::ALL {
        let status = Status::from(ApiError::new(*reason, "what happened").with("expected_nonce", 7));
        assert_eq!((status.code(), status.message()), (reason.code(), "what happened"), "{reason}");
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), (reason.as_str(), "farthing"));
        assert_eq!(info.metadata.get("expected_nonce").map(String::as_str), Some("7"));
        let retry = matches!(reason.code(), Code::ResourceExhausted | Code::Unavailable);
        assert_eq!(details.retry_info().is_some(), retry, "{reason}");
    }
}

fn rejections() -> Vec<Rejection> {
    let (amount, height, address) = (Mites::new(5), Height::new(9), Address::from_bytes([1; 32]));
    vec![
        Rejection::NonceTooLow { nonce: 1, expected_nonce: 2 },
        Rejection::InsufficientBalance { needed: amount, available: Mites::ZERO },
        Rejection::FeeTooLow { fee: Mites::ZERO, required: amount },
        Rejection::TooManyOpenings { openings: 9, limit: 8 },
        Rejection::ExpiresTooSoon { valid_until: height, required: height },
        Rejection::ReplacementUnderpaid { fee: Mites::ZERO, required: amount, waiting: TxId::ZERO },
        Rejection::KeyUnknown { address },
        Rejection::BadSignature(SignatureError::Length { found: 1, expected: "256" }),
        Rejection::UnusableKey,
        Rejection::AccountFull { limit: 3 },
        Rejection::TooManyQueued { nonce: 9, expected_nonce: 2 },
        Rejection::PoolFull { required: amount },
        Rejection::SourceLimited { retry_after_ms: 1_500 },
        Rejection::JournalFailed("/var/lib/farthing/mempool.journal: disk full".to_owned()),
        Rejection::Stopping,
    ]
}

#[test]
fn every_refusal_of_the_mempool_keeps_its_name_particulars_and_kind() {
    for rejection in rejections() {
        let (name, metadata, kind) = (rejection.reason(), rejection.metadata(), rejection.kind());
        let message = rejection.to_string();
        let hidden = matches!(rejection, Rejection::JournalFailed(_));
        let status = Status::from(ApiError::from(rejection));
        let code = match kind {
            RejectionKind::Invalid => Code::InvalidArgument,
            RejectionKind::Precondition => Code::FailedPrecondition,
            RejectionKind::Limited => Code::ResourceExhausted,
            RejectionKind::Unavailable => Code::Unavailable,
        };
        assert_eq!(status.code(), code, "{name}");
        assert_eq!(status.message() == message, !hidden, "{name}: {}", status.message());
        let info = status.get_error_details().error_info().unwrap().clone();
        assert_eq!(info.reason, name);
        let expected: HashMap<_, _> = metadata.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        assert_eq!(info.metadata, expected, "{name}");
        documented::holds(name, code, info.metadata.keys());
    }
}

#[test]
fn a_limited_source_is_told_when_to_come_again() {
    let error = ApiError::from(Rejection::SourceLimited { retry_after_ms: 1_500 });
    let details = Status::from(error.clone()).get_error_details();
    assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::from_millis(1_500)));
    let item = pb::Status::from(error).get_details_retry_info().unwrap();
    assert_eq!(item.retry_delay, Some(Duration::from_millis(1_500)));
}

#[test]
fn an_item_of_a_batch_is_refused_with_all_that_a_status_says() {
    for rejection in rejections() {
        let name = rejection.reason();
        let (status, item) =
            (Status::from(ApiError::from(rejection.clone())), pb::Status::from(ApiError::from(rejection)));
        assert_eq!((item.code, item.message.as_str()), (status.code() as i32, status.message()), "{name}");
        let (told, expected) = (item.get_error_details(), status.get_error_details());
        let info =
            |details: &ErrorDetails| details.error_info().map(|info| (info.reason.clone(), info.metadata.clone()));
        assert_eq!(info(&told).unwrap().0, name);
        assert_eq!(info(&told), info(&expected), "{name}");
        let delay = |details: &ErrorDetails| details.retry_info().map(|retry| retry.retry_delay);
        assert_eq!(delay(&told), delay(&expected), "{name}");
    }
}

#[test]
fn a_bad_field_is_named_in_the_message_the_metadata_and_the_violation() {
    let error = BlockLookup::try_from(v1::GetBlockRequest {
        block: Some(v1::get_block_request::Block::BlockId(vec![1; 31].into())),
        read_mask: None,
    });
    let status = Status::from(ApiError::from(error.unwrap_err()));
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "block_id: expected 32 bytes, got 31"));
    let details = status.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.metadata["field"].as_str()), ("INVALID_FIELD", "block_id"));
    assert_eq!(details.bad_request().unwrap().field_violations[0].field, "block_id");
}

#[test]
fn an_address_of_another_network_is_told_from_one_that_is_mistyped() {
    let [dev, main] = [farthing::Network::Dev, farthing::Network::Main].map(|network| network.params().prefix.clone());
    let reason = |text: String| ApiError::from(AddressLookup::Text(text).resolve(&dev).unwrap_err());
    let foreign = reason(main.format(&Address::ZERO));
    assert_eq!(foreign.reason(), Reason::WrongAddressPrefix);
    let info = Status::from(foreign).get_error_details().error_info().unwrap().clone();
    assert_eq!((info.metadata["found_prefix"].as_str(), info.metadata["expected_prefix"].as_str()), ("far", "dfar"));
    assert_eq!(reason("dfar1nonsense".to_owned()).reason(), Reason::InvalidAddress);
}

#[test]
fn what_fails_inside_is_not_told_to_strangers() {
    let error = ChainError::Inconsistent("at /var/lib/farthing/blocks/7".to_owned());
    let status = Status::from(ApiError::from(error));
    assert_eq!((status.code(), status.message()), (Code::Internal, "a fault of the node itself; its log says more"));
    let lost = crate::store::StoreError::Poisoned("/var/lib/farthing".to_owned());
    let journal = Status::from(ApiError::from(Rejection::JournalFailed("/var/lib/farthing".to_owned())));
    assert!(!journal.message().contains("/var"), "{}", journal.message());
    let status = Status::from(ApiError::from(ChainError::Store(Arc::new(lost))));
    assert_eq!(status.code(), Code::Unavailable);
    assert!(!status.message().contains("/var"), "{}", status.message());
}
