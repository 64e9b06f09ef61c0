//! What a caller is told whose call goes beyond a limit: always a status with a reason and, where waiting helps, for how
//! long.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::{
    meters::{Excess, RETRY_AFTER},
    slots::SlotRefusal,
};

/// The domain of error reasons.
const ERROR_DOMAIN: &str = "farthing";
/// The reason of a call that comes too soon.
const RATE_LIMITED: &str = "RATE_LIMITED";
/// The reason of a call beside which too many others of its method are open.
const TOO_MANY_CALLS: &str = "TOO_MANY_CALLS";

/// The client has used up what a method may cost.
pub(super) fn exceeded(path: &str, excess: Excess) -> Status {
    let wait = excess.wait();
    let (reason, particulars) = match excess {
        Excess::AtATime { limit } => (TOO_MANY_CALLS, vec![("limit", limit.to_string())]),
        Excess::Rate { unit, rate, .. } => {
            let numbers = [("burst", rate.burst.to_string()), ("per_second", rate.per_second.to_string())];
            (RATE_LIMITED, numbers.into_iter().chain([("unit", unit.to_owned())]).collect())
        }
    };
    // Rounded up: whoever waits so many whole milliseconds is let in.
    let retry_after_ms = wait.as_nanos().div_ceil(1_000_000).to_string();
    let common = [("method", path.to_owned()), ("retry_after_ms", retry_after_ms)];
    let metadata = particulars.into_iter().chain(common).map(|(key, value)| (key.to_owned(), value));
    let mut details = ErrorDetails::with_error_info(reason, ERROR_DOMAIN, metadata.collect::<HashMap<_, _>>());
    details.set_retry_info(Some(wait));
    Status::with_error_details(Code::ResourceExhausted, excess.to_string(), details)
}

/// How long the other side wants this caller to wait before it calls again; none if it was refused for another reason.
pub(crate) fn told_to_wait(status: &Status) -> Option<Duration> {
    let info = status.get_details_error_info().filter(|info| info.domain == ERROR_DOMAIN)?;
    let is_limit = [RATE_LIMITED, TOO_MANY_CALLS].contains(&info.reason.as_str());
    status.get_details_retry_info().filter(|_| is_limit)?.retry_delay
}

/// There is no room for one more of what is named.
pub(super) fn shed(what: &str, refusal: SlotRefusal) -> Status {
    let mut details = ErrorDetails::with_error_info("OVERLOADED", ERROR_DOMAIN, HashMap::new());
    details.set_retry_info(Some(RETRY_AFTER));
    let message = format!("too many {what}: {refusal}");
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

/// A call was not answered in time.
pub(super) fn late(deadline: Duration) -> Status {
    let metadata = HashMap::from([("deadline_ms".to_owned(), deadline.as_millis().to_string())]);
    let details = ErrorDetails::with_error_info("DEADLINE_EXCEEDED", ERROR_DOMAIN, metadata);
    let message = format!("the call took longer than {} s", deadline.as_secs_f32());
    Status::with_error_details(Code::DeadlineExceeded, message, details)
}

/// A request is larger than its method takes.
pub(super) fn too_large(size: u64, limit: usize) -> Status {
    let metadata = HashMap::from([("size".to_owned(), size.to_string()), ("max_size".to_owned(), limit.to_string())]);
    let details = ErrorDetails::with_error_info("REQUEST_TOO_LARGE", ERROR_DOMAIN, metadata);
    let message = format!("the request has {size} bytes, at most {limit} are taken");
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Rate;

    #[test]
    fn who_is_refused_for_its_rate_is_told_the_limit_and_for_how_long_to_wait() {
        let wait = Duration::from_micros(1_500);
        let excess = Excess::Rate { unit: "headers", rate: Rate { per_second: 10, burst: 20 }, wait };
        let status = exceeded("/a.B/C", excess);
        assert_eq!((status.code(), told_to_wait(&status)), (Code::ResourceExhausted, Some(wait)));
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.reason, RATE_LIMITED);
        let facts =
            [("method", "/a.B/C"), ("unit", "headers"), ("burst", "20"), ("per_second", "10"), ("retry_after_ms", "2")];
        assert_eq!(info.metadata, facts.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        let status = exceeded("/a.B/C", Excess::AtATime { limit: 4 });
        assert_eq!(told_to_wait(&status), Some(RETRY_AFTER));
        assert_eq!(status.get_details_error_info().unwrap().metadata["limit"], "4");
    }

    #[test]
    fn other_refusals_are_no_reason_to_call_again() {
        assert_eq!(told_to_wait(&shed("calls at the same time", SlotRefusal::AllTaken { limit: 1 })), None);
        assert_eq!(told_to_wait(&too_large(2, 1)), None);
        assert_eq!(told_to_wait(&Status::resource_exhausted("full")), None);
    }
}
