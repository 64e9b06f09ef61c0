//! The rules of the Farthing ledger. Pure: no clock, no I/O, no threads; time, parameters and ancestors are arguments.
//!
//! Rules are defined in words in `proto/SPEC.md`. What a value shows by itself (R-ENC, R-KEY, R-ADR, R-TX, R-MRK, R-RNG,
//! R-PAR) its type in the `farthing` crate has checked before it comes here. Everything else is in this table, and a
//! test holds the table to the code: a rule, the one function that checks it, its error, and a test that breaks it.
//!
//! | rule | checked by | error | test |
//! |---|---|---|---|
//! | R-DIF-01 | `headers::check_target` | `HeaderError::Bits` | `bits_that_name_no_target_are_refused` |
//! | R-DIF-02 | `headers::check_target` | `HeaderError::Bits` | `bits_that_name_no_target_are_refused` |
//! | R-DIF-03 | `headers::check_target` | `HeaderError::Bits` | `bits_that_name_no_target_are_refused` |
//! | R-DIF-04 | `headers::check_target` | `HeaderError::Bits` | `bits_that_name_no_target_are_refused` |
//! | R-DIF-05 | `headers::check_target` | `HeaderError::TargetOutOfRange` | `targets_outside_the_networks_range_are_refused` |
//! | R-DIF-06 | `headers::check_bits` | `HeaderError::WrongBits` | `bits_must_be_those_of_the_schedule` |
//! | R-HDR-03 | `headers::check_work` | `HeaderError::InsufficientWork` | `work_must_be_done` |
//! | R-HDR-04 | `headers::add_work` | `HeaderError::WorkOverflow` | `more_work_than_can_be_written_is_refused` |
//! | R-HDR-05 | `headers::check_parent` | `HeaderError::ParentUnknown` | `another_parent_is_not_known_yet` |
//! | R-TIM-01 | `headers::check_time_grows` | `HeaderError::TimeNotAfterParent` | `time_must_grow_by_a_millisecond_at_least` |
//! | R-TIM-02 | `headers::check_future` | `HeaderError::TimeTooFarAhead` | `a_header_from_the_future_waits_for_its_time` |
//! | R-TIM-03 | `headers::check_time_fits` | `HeaderError::TimeTooLarge` | `a_time_beyond_the_format_is_refused_for_good` |
//! | R-BLK-01 | `blocks::check_size` | `BlockError::TooLarge` | `a_block_may_be_as_large_as_the_limit_and_no_larger` |
//! | R-BLK-02 | `blocks::check_tx_root` | `BlockError::WrongTxRoot` | `another_body_is_refused_and_condemns_nothing` |
//! | R-BLK-03 | `blocks::check_signature_units` | `BlockError::TooManySignatureUnits` | `signature_units_are_bounded` |
//! | R-BLK-04 | `blocks::check_duplicates` | `BlockError::DuplicateTransaction` | `one_transaction_id_twice_is_refused` |
//! | R-BLK-05 | `blocks::check_commitment` | `BlockError::WrongCommitment` | `a_header_commits_to_its_state_and_its_past` |
//! | R-CB-01 | `blocks::check_tag` | `BlockError::TagTooLong` | `a_coinbase_tag_has_at_most_64_bytes` |
//! | R-CB-02 | `execution::check_coinbase` | `BlockError::WrongCoinbaseHeight` | `the_coinbase_names_its_height` |
//! | R-CB-03 | `execution::check_coinbase` | `BlockError::WrongCoinbaseAmount` | `the_coinbase_takes_exactly_subsidy_and_fees_less_what_is_burned` |
//! | R-ACC-01 | `execution::check_nonce` | `TxError::WrongNonce` | `only_the_next_nonce_is_executed` |
//! | R-ACC-02 | `execution::check_expiry` | `TxError::Expired` | `a_transaction_is_valid_up_to_its_last_height` |
//! | R-ACC-03 | `execution::debit` | `TxError::InsufficientBalance` | `fee_and_outputs_must_be_there_before_the_transactions_own_credits` |
//! | R-ACC-04 | `execution::stage` | `TxError::AccountOverflow` | `no_number_of_an_account_overflows` |
//! | R-ACC-04 | `execution::credit` | `BlockError::AccountOverflow` | `a_coinbase_overflows_no_account` |
//! | R-OPN-01 | `execution::check_opening_cost` | `TxError::FeeBelowOpeningCost` | `the_fee_pays_for_every_account_that_is_opened_once` |
//! | R-OPN-02 | `execution::check_openings` | `TxError::TooManyOpenings` | `a_block_opens_at_most_so_many_accounts` |
//! | R-SIG-01 | `signatures::check_signature` | `TxError::Signature` | `a_signature_of_another_length_or_beyond_the_modulus_names_its_rule` |
//! | R-SIG-02 | `signatures::check_signature` | `TxError::Signature` | `a_signature_of_another_length_or_beyond_the_modulus_names_its_rule` |
//! | R-SIG-03 | `signatures::check_signature` | `TxError::Signature` | `a_signature_counts_on_its_own_network_only` |
//! | R-FRK-01 | `fork_choice::prefer` |  | `more_work_wins_at_once_whatever_the_ids` |
//! | R-FRK-02 | `fork_choice::prefer` |  | `a_tie_stays_with_the_first_seen_until_it_has_stood_three_spacings` |
//! | R-FRK-03 | `error::condemns_id` |  | `another_body_is_refused_and_condemns_nothing` |
//! | R-FRK-04 | `error::is_temporary` | `BlockError::WrongMatured` | `the_callers_mistake_about_the_coinbase_due_blames_nobody` |
//! | R-DIF-07 | `difficulty::required_bits` |  | `every_published_and_own_asert_vector_gives_its_bits` |
//! | R-FLY-02 | `chain_proof::check_commitment` | `ChainProofError::WrongCommitment` | `each_fault_of_a_chain_proof_is_named_by_its_rule` |
//! | R-FLY-03 | `chain_proof::check_alone` | `ChainProofError::OtherGenesis` | `each_fault_of_a_chain_proof_is_named_by_its_rule` |
//! | R-FLY-04 | `chain_proof::check_shown` | `ChainProofError::SampleMissing` | `each_fault_of_a_chain_proof_is_named_by_its_rule` |
//! | R-FLY-05 | `chain_proof::check_child` | `ChainProofError::Header` | `each_fault_of_a_chain_proof_is_named_by_its_rule` |
//! | R-FLY-06 | `chain_proof::check_parts` | `ChainProofError::ImpossibleWork` | `each_fault_of_a_chain_proof_is_named_by_its_rule` |
//! | R-GEN-03 | `tree::genesis` |  | `genesis_commits_to_its_allocations` |
//! | R-ACT-03 | `tree::root` |  | `any_changes_give_the_root_the_order_and_the_proofs_of_the_definition` |
//! | R-ACT-04 | `execution::touch` |  | `ten_thousand_transactions_over_random_branches_leave_both_ledgers_equal` |
//!
//! The order for a block that arrives: [`check_header`], [`check_block`], [`check_signature`] for every transaction that
//! was not verified before, [`execute`], [`apply_touches`] to a clone of the tree, [`check_commitment`] with its root.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)
)]

mod blocks;
mod chain_proof;
mod difficulty;
mod error;
mod execution;
#[cfg(test)]
mod fixtures;
mod fork_choice;
mod headers;
mod signatures;
mod state;
#[cfg(test)]
mod tests;
mod tree;

pub use blocks::{CheckedBlock, check_block, check_block_owned, check_commitment};
pub use chain_proof::{ChainProofError, ProvenChain, verify_chain_proof};
pub use difficulty::required_bits;
pub use error::{BlockError, HeaderError, TxError};
pub use execution::{AccountView, Applied, Execution, Executor, Touch, execute, expected_coinbase_amount};
pub use fork_choice::{prefer, tie_break_after_ms};
pub use headers::{HeaderContext, check_header, check_header_alone};
pub use signatures::check_signature;
pub use state::{apply_touches, undo_touches};
pub use tree::{AccountTree, Entry, Iter, NotSorted, root_of_sorted};
