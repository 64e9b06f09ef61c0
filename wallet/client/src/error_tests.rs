//! Whose word a status is, and what it leaves open.

use std::collections::HashMap;

use tonic_types::ErrorDetails;

use super::*;

fn read(code: Code, domain: Option<&str>, reason: &str) -> Error {
    let status = match domain {
        Some(domain) => {
            Status::with_error_details(code, "no", ErrorDetails::with_error_info(reason, domain, HashMap::new()))
        }
        None => Status::new(code, "no"),
    };
    Error::from_status(&status, &"http://127.0.0.1:1".parse().unwrap())
}

#[test]
fn only_a_reason_of_the_ledger_with_a_code_of_refusal_is_a_definite_no() {
    let definite =
        [Code::InvalidArgument, Code::FailedPrecondition, Code::NotFound, Code::OutOfRange, Code::ResourceExhausted];
    for number in 1..=16 {
        let code = Code::from(number);
        let error = read(code, Some(DOMAIN), "SOMETHING");
        assert_eq!(error.is_definite(), definite.contains(&code), "{code:?}: {error}");
        assert!(!read(code, None, "").is_definite(), "{code:?} without a reason");
        assert!(!read(code, Some("example.org"), "SOMETHING").is_definite(), "{code:?} of another domain");
    }
    assert!(read(Code::Unavailable, Some(DOMAIN), "SYNCING").is_definite());
    assert!(!read(Code::Unavailable, Some(DOMAIN), "JOURNAL_FAILED").is_definite());
}

#[test]
fn what_is_made_up_on_the_way_is_tried_again() {
    for number in (1..=16).filter(|number| Code::from(*number) != Code::Unimplemented) {
        assert_eq!(read(Code::from(number), None, "").class(), Class::Again(None), "{number}");
    }
    assert_eq!(read(Code::Unimplemented, None, "").class(), Class::Elsewhere);
}

#[test]
fn texts_of_a_node_cannot_command_the_terminal() {
    let error = read(Code::NotFound, Some(DOMAIN), "\u{1b}[2J");
    assert!(!error.to_string().contains('\u{1b}'), "{error}");
}
