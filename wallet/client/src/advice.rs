//! What to do about each reason that a node refuses with.

/// Every reason of `docs/api/errors.md`, and what to do about it.
const ADVICE: &[(&str, &str)] = &[
    ("MISSING_FIELD", "set the field that the metadata names"),
    ("INVALID_FIELD", "mend the field that the metadata names"),
    ("INVALID_ADDRESS", "copy the address again, all of it"),
    ("WRONG_ADDRESS_PREFIX", "ask for an address of this network"),
    ("INVALID_TRANSACTION", "build the transfer anew; its bytes are not one of this protocol"),
    ("INVALID_PAGE_TOKEN", "begin with the first page again"),
    ("INVALID_CURSOR", "start with a cursor that a stream of blocks gave, unchanged"),
    ("BAD_SIGNATURE", "sign again, with the sender's key and for this network's genesis id"),
    ("UNUSABLE_KEY", "use another key; docs/wallet.md says which can be used"),
    ("TOO_MANY_OPENINGS", "spread the new accounts over several transfers"),
    ("NONCE_TOO_LOW", "look the account up: the transfer may be mined already; else sign anew with its next nonce"),
    ("INSUFFICIENT_BALANCE", "pay less, or wait until what arrives is mined"),
    ("FEE_TOO_LOW", "sign anew with at least the fee that the metadata names"),
    ("EXPIRES_TOO_SOON", "sign anew with a later last height"),
    ("REPLACEMENT_UNDERPAID", "wait for the transfer that waits, or sign anew with the fee that the metadata names"),
    ("KEY_UNKNOWN", "hand in the account's first transfer, with nonce 0, first"),
    ("TRANSACTION_NOT_FOUND", "hand the same bytes in again if it should be mined"),
    ("TRANSACTION_NOT_MINED", "wait until it is mined; the metadata says where it stands"),
    ("TRANSACTION_INDEX_OFF", "ask a node with an index of transactions; this one cannot tell what was mined"),
    ("REORGANISED", "ask again; the branch that was being sent has lost"),
    ("BLOCK_NOT_FOUND", "check the id or the height; a node that is behind may have it later"),
    ("BLOCK_PRUNED", "ask a node that has all blocks"),
    ("SUBSCRIBER_STALLED", "read on, or go on later with the cursor in the metadata"),
    ("CURSOR_UNKNOWN", "ask another node, or this one later"),
    ("HEIGHT_ABOVE_TIP", "start at most at the next block's height, or wait"),
    ("ACCOUNT_FULL", "wait until some of the account's transfers are mined"),
    ("TOO_MANY_QUEUED", "hand in the transfers before this one first"),
    ("POOL_FULL", "wait, or sign anew with a higher fee"),
    ("SOURCE_LIMITED", "wait for the time named; check signatures before handing transfers in"),
    ("REQUEST_TOO_LARGE", "ask for less at once"),
    ("OVERLOADED", "wait for the time named, or ask another node"),
    ("RATE_LIMITED", "wait for the time named, or ask less often"),
    ("TOO_MANY_CALLS", "finish open calls first"),
    ("DEADLINE_EXCEEDED", "try again, or ask for less at once"),
    ("SYNCING", "wait until the node has all blocks, or ask another one"),
    ("JOURNAL_FAILED", "ask another node; the disk of this one fails or is full"),
    ("STOPPING", "ask another node, or this one when it is back"),
    ("CONNECTION_EXPIRED", "connect again and go on"),
    ("STORE_FAILED", "ask another node; the log of this one says more"),
    ("INTERNAL", "ask another node; the log of this one says more"),
];

pub(crate) fn for_reason(reason: &str) -> Option<&'static str> {
    ADVICE.iter().find(|(known, _)| *known == reason).map(|(_, advice)| *advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_of_the_page_has_advice() {
        let page = include_str!("../../../docs/api/errors.md");
        let (_, errors) = page.split_once("\n## Reasons\n").unwrap();
        let (errors, _) = errors.split_once("\n## ").unwrap();
        let reasons: Vec<_> = errors.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        assert!(reasons.len() > 30, "{reasons:?}");
        for reason in reasons {
            assert!(for_reason(reason).is_some(), "{reason} has no advice");
        }
    }
}
