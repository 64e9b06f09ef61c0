//! Submitting a transfer and waiting for what becomes of it.

use std::time::Duration;

use farthing::{
    SignedTransaction, TxId,
    wire::{TransactionStanding, TransactionStatus, WireError, WireFault, v1},
};
use tokio::time::{Instant, sleep, timeout_at};

use crate::rpc::{
    ApiError, Deps, Reason,
    refusals::Credit,
    transactions::{confirmations_wanted, standing_or_dropped, submit_one},
};

/// How long is waited if nothing is said.
const DEFAULT_TIMEOUT_MS: u32 = 60_000;
/// Longest wait.
const MAX_TIMEOUT_MS: u32 = 300_000;
/// How long the call may take in all: the longest wait, and what a submission may take.
pub(in crate::rpc) const DEADLINE: Duration = Duration::from_secs(330);
/// The pool changes all the time; it is looked at no more often than this.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Goal {
    /// 0 for acceptance.
    confirmations: u64,
    timeout: Duration,
}

impl Goal {
    fn read(request: &v1::SubmitTransactionAndWaitRequest) -> Result<Self, WireError> {
        use v1::submit_transaction_and_wait_request::WaitFor;
        let only_true = |field, value| {
            let wrong = WireFault::Unexpected { expected: "true, or another field of wait_for" };
            if value { Ok(()) } else { Err(WireError::new(field, wrong)) }
        };
        let confirmations = match request.wait_for {
            None => 1,
            Some(WaitFor::Accepted(value)) => only_true("accepted", value).map(|()| 0)?,
            Some(WaitFor::Mined(value)) => only_true("mined", value).map(|()| 1)?,
            Some(WaitFor::Confirmations(count)) => confirmations_wanted(count)?,
        };
        let timeout_ms = match request.timeout_ms {
            0 => DEFAULT_TIMEOUT_MS.into(),
            given => at_most("timeout_ms", given, MAX_TIMEOUT_MS)?,
        };
        Ok(Self { confirmations, timeout: Duration::from_millis(timeout_ms) })
    }

    /// Without an index nobody would see that the transfer is mined: refused before it is taken.
    fn check(self, indexes_transactions: bool) -> Result<(), ApiError> {
        if indexes_transactions || self.confirmations == 0 {
            return Ok(());
        }
        let message = "this node keeps no index of transactions (--transaction-index off) and cannot tell when one is \
                       mined; submit it, wait_for accepted, and follow it with WatchTransaction, or ask another node";
        Err(ApiError::new(Reason::TransactionIndexOff, message))
    }

    /// Whether there is nothing more to wait for.
    fn is_over(self, status: &TransactionStatus) -> bool {
        match status.standing {
            TransactionStanding::Pending | TransactionStanding::Queued => self.confirmations == 0,
            TransactionStanding::Mined { confirmations, .. } => confirmations >= self.confirmations,
            TransactionStanding::Dropped { .. } => true,
        }
    }
}

fn at_most(field: &str, found: u32, max: u32) -> Result<u64, WireError> {
    if (1..=max).contains(&found) {
        return Ok(found.into());
    }
    Err(WireError::new(field, WireFault::OutOfRange { min: 1, max: max.into(), found: found.into() }))
}

pub(in crate::rpc) async fn submit_and_wait(
    deps: &Deps,
    credit: &Credit,
    request: v1::SubmitTransactionAndWaitRequest,
) -> Result<v1::SubmitTransactionAndWaitResponse, ApiError> {
    credit.check(deps.env.clock().elapsed())?;
    let goal = Goal::read(&request)?;
    goal.check(deps.chain.indexes_transactions())?;
    let status = submit_one(deps, credit, SignedTransaction::try_from(request)?).await?;
    let id = status.id;
    let mut last = status;
    let waited = tokio::select! {
        biased;
        // Taken it is: the next node, or this one when it is back, can say what became of it.
        () = deps.tasks.token().cancelled(), if !goal.is_over(&last) => {
            return Err(ApiError::stopping().with("transaction_id", id));
        }
        waited = timeout_at(Instant::now() + goal.timeout, wait(deps, id, goal, &mut last)) => waited,
    };
    let timed_out = match waited {
        Ok(outcome) => outcome.map(|()| false)?,
        Err(_) => true,
    };
    Ok(v1::SubmitTransactionAndWaitResponse { status: Some((&last).into()), timed_out })
}

/// Until the goal is reached. Keeps what was seen last.
async fn wait(deps: &Deps, id: TxId, goal: Goal, last: &mut TransactionStatus) -> Result<(), ApiError> {
    let (mut tips, mut pool) = (deps.chain.watch(), deps.mempool.watch());
    while !goal.is_over(last) {
        // Seen before the question, so that a change behind the answer wakes the wait below.
        tips.borrow_and_update();
        pool.borrow_and_update();
        // Between the pool and the chain for a moment: what was seen last stands.
        if let Some(status) = standing_or_dropped(deps, id).await? {
            *last = status;
        }
        if goal.is_over(last) {
            break;
        }
        let changed = async {
            sleep(LOOK_EVERY).await;
            pool.changed().await
        };
        let lives = tokio::select! {
            changed = tips.changed() => changed.is_ok(),
            changed = changed => changed.is_ok(),
        };
        if !lives {
            return Err(ApiError::stopping().with("transaction_id", id));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn without_an_index_only_acceptance_is_waited_for() {
        let goal = |confirmations| Goal { confirmations, timeout: Duration::from_secs(1) };
        assert_eq!(goal(0).check(false), Ok(()));
        for confirmations in [1, 3] {
            let error = goal(confirmations).check(false).unwrap_err();
            assert_eq!(
                (error.reason(), error.reason().code()),
                (Reason::TransactionIndexOff, Code::FailedPrecondition)
            );
            assert_eq!(goal(confirmations).check(true), Ok(()));
        }
    }
}
