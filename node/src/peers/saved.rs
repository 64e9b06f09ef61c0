//! The address book with its salt, the anchors and the bans between runs: read at the start, written now and then.

use std::sync::Arc;

use farthing::{
    TimeMs,
    codec::{Canonical as _, DecodeError, Reader, put_bytes},
};
use tokio::time::{MissedTickBehavior, interval};

use super::{
    book::{Book, BookStoreError, Change, Salt, Shelf},
    limits::SAVE_INTERVAL,
    network::Inner,
    session::lock,
    standing::{Ban, Culprit},
};

/// Keys of the notes.
const SALT: &[u8] = b"salt";
const ANCHORS: &[u8] = b"anchors";
/// Longest reason of a ban in bytes.
const MAX_REASON_BYTES: usize = 1_024;

/// Reads what an earlier run wrote. Without it the node starts with an empty book.
pub(super) async fn load(inner: &Arc<Inner>) {
    let store = Arc::clone(&inner.store);
    let fresh: [u8; 32] = inner.env.random().array();
    let read = move || -> Result<_, BookStoreError> {
        let notes = store.load(Shelf::Notes)?;
        let note = |name: &[u8]| notes.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let salt = match note(SALT).and_then(|salt| <[u8; 32]>::try_from(salt).ok()) {
            Some(salt) => salt,
            // The first start, or one that lost it: what is in the book is sorted anew.
            None => {
                store.write(vec![(Shelf::Notes, SALT.to_vec(), Some(fresh.to_vec()))])?;
                fresh
            }
        };
        Ok((Salt::from_bytes(salt), note(ANCHORS), store.load(Shelf::Addresses)?, store.load(Shelf::Bans)?))
    };
    let (salt, anchors, addresses, bans) = match inner.env.compute().run_blocking(read).await {
        Ok(records) => records,
        Err(error) => {
            tracing::warn!(%error, "the address book cannot be read, starting with an empty one");
            return;
        }
    };
    let bans = bans.iter().filter_map(|(key, record)| {
        let culprit: Culprit = std::str::from_utf8(key).ok()?.parse().ok()?;
        Some((culprit, ban_from_record(record).ok()?))
    });
    let mut state = lock(&inner.state);
    state.standing.restore(bans);
    state.book = Book::new(inner.config.private_addresses, salt);
    let dropped = state.book.restore(addresses);
    if let Some(Err(error)) = anchors.map(|record| state.anchors.restore(&record)) {
        tracing::debug!(%error, "whom the last run was with longest cannot be read");
    }
    tracing::debug!(addresses = state.book.len(), dropped, "address book read");
}

/// Starts to write what changes, and once more at the end.
pub(super) fn start(inner: &Arc<Inner>) {
    let inner = Arc::clone(inner);
    let stop = inner.tasks.token().clone();
    inner.clone().tasks.spawn("peers: address book", async move {
        let mut ticks = interval(SAVE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            write(&inner).await;
        }
        write(&inner).await;
        Ok::<_, std::convert::Infallible>(())
    });
}

/// Writes what has changed since it was last written.
pub(super) async fn write(inner: &Arc<Inner>) {
    let _turn = inner.saving.lock().await;
    let now = inner.expiry_time();
    let (addresses, anchors, bans) = {
        let mut state = lock(&inner.state);
        state.book.expire(now);
        state.standing.expire(now);
        (state.book.take_changes(), state.anchors.take_changed(), state.standing.take_changed())
    };
    if addresses.is_empty() && anchors.is_none() && bans.is_none() {
        return;
    }
    let keys: Vec<Vec<u8>> = addresses.iter().map(|(key, _)| key.clone()).collect();
    let (has_anchors, has_bans) = (anchors.is_some(), bans.is_some());
    let store = Arc::clone(&inner.store);
    let written = inner.env.compute().run_blocking(move || -> Result<(), BookStoreError> {
        let mut changes: Vec<Change> =
            addresses.into_iter().map(|(key, record)| (Shelf::Addresses, key, record)).collect();
        changes.extend(anchors.map(|anchors| (Shelf::Notes, ANCHORS.to_vec(), Some(anchors))));
        if let Some(bans) = bans {
            // Those on the disk that are none any longer, and then those that are.
            changes.extend(store.load(Shelf::Bans)?.into_iter().map(|(key, _)| (Shelf::Bans, key, None)));
            let record = |(culprit, ban): (Culprit, Ban)| {
                (Shelf::Bans, culprit.to_string().into_bytes(), Some(ban_to_record(&ban)))
            };
            changes.extend(bans.into_iter().map(record));
        }
        store.write(changes)
    });
    if let Err(error) = written.await {
        tracing::warn!(%error, "the address book cannot be written; it is tried again");
        let mut state = lock(&inner.state);
        state.book.put_back(keys);
        if has_anchors {
            state.anchors.put_back();
        }
        if has_bans {
            state.standing.put_back();
        }
    }
}

fn ban_to_record(ban: &Ban) -> Vec<u8> {
    let mut record = Vec::new();
    ban.until.encode(&mut record);
    put_bytes(&mut record, ban.reason.as_bytes());
    record
}

fn ban_from_record(record: &[u8]) -> Result<Ban, DecodeError> {
    let mut reader = Reader::new(record);
    let until = TimeMs::decode(&mut reader)?;
    let reason = reader.text("reason", MAX_REASON_BYTES)?.to_owned();
    reader.finish()?;
    Ok(Ban { until, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ban_reads_back() {
        let ban = Ban { until: TimeMs::new(7), reason: "sent an invalid block: no work".to_owned() };
        let record = ban_to_record(&ban);
        assert_eq!(ban_from_record(&record).as_ref(), Ok(&ban));
        assert!(ban_from_record(&record[1..]).is_err());
    }
}
