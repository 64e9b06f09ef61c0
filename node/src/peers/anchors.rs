//! The peers that this node returns to first at its next start: those of its own choice with the longest sessions. So
//! whoever waits for a restart, to offer it nothing but own addresses, has to outlast them too.

use std::{collections::BTreeMap, net::SocketAddr};

use farthing::codec::{DecodeError, Reader, put_bytes, put_count};

use super::limits::ANCHORS;
use crate::{chain::SessionId, env::canonical};

const RECORD_VERSION: u8 = 1;

/// Sessions that this node began of its own choice, and whom it would return to.
#[derive(Debug, Default)]
pub(super) struct Anchors {
    /// Session ids grow, so the longest session comes first.
    open: BTreeMap<SessionId, SocketAddr>,
    /// Whom it would have returned to before the last session ended.
    before: Vec<SocketAddr>,
    /// What was written last; nothing if that is not known.
    written: Option<Vec<SocketAddr>>,
}

impl Anchors {
    /// Takes up those of an earlier run.
    pub(super) fn restore(&mut self, record: &[u8]) -> Result<(), DecodeError> {
        self.before = from_record(record)?;
        self.written = Some(self.before.clone());
        Ok(())
    }

    /// A session with a node of this node's choice began.
    pub(super) fn begin(&mut self, session: SessionId, address: SocketAddr) {
        self.open.insert(session, address);
    }

    /// Whether this is such a session.
    pub(super) fn is_of_own_choice(&self, session: SessionId) -> bool {
        self.open.contains_key(&session)
    }

    /// It ended, while this node runs on.
    pub(super) fn end(&mut self, session: SessionId) {
        if self.open.contains_key(&session) {
            self.before = self.list();
            self.open.remove(&session);
        }
    }

    /// This node does not want to return to these.
    pub(super) fn refuse(&mut self, unwanted: impl Fn(SocketAddr) -> bool) {
        self.open.retain(|_, address| !unwanted(*address));
        self.before.retain(|address| !unwanted(*address));
    }

    /// Whom this node would return to: the longest sessions, filled up with those before.
    pub(super) fn list(&self) -> Vec<SocketAddr> {
        let mut list: Vec<SocketAddr> = Vec::with_capacity(ANCHORS);
        for address in self.open.values().chain(&self.before) {
            if list.len() < ANCHORS && !list.contains(address) {
                list.push(*address);
            }
        }
        list
    }

    /// The record to write, if it differs from what was written last.
    pub(super) fn take_changed(&mut self) -> Option<Vec<u8>> {
        let list = self.list();
        (Some(&list) != self.written.as_ref()).then(|| {
            let record = to_record(&list);
            self.written = Some(list);
            record
        })
    }

    /// The record was not written.
    pub(super) fn put_back(&mut self) {
        self.written = None;
    }
}

fn to_record(anchors: &[SocketAddr]) -> Vec<u8> {
    let mut record = vec![RECORD_VERSION];
    put_count(&mut record, anchors.len());
    for anchor in anchors {
        put_bytes(&mut record, anchor.to_string().as_bytes());
    }
    record
}

fn from_record(record: &[u8]) -> Result<Vec<SocketAddr>, DecodeError> {
    let mut reader = Reader::new(record);
    let version = reader.u8("version")?;
    if version != RECORD_VERSION {
        let (found, expected) = (version.into(), RECORD_VERSION.into());
        return Err(DecodeError::UnknownVersion { what: "anchors", found, expected });
    }
    let count = reader.count("anchors", ANCHORS, 1)?;
    let mut anchors = Vec::with_capacity(count);
    for _ in 0..count {
        let address = reader.text("anchor", 64)?.parse().map_err(|_| DecodeError::NotText("anchor"))?;
        anchors.push(canonical(address));
    }
    reader.finish()?;
    Ok(anchors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, number], 1))
    }

    fn id(number: u64) -> SessionId {
        SessionId::new(number)
    }

    #[test]
    fn the_longest_sessions_are_the_anchors_and_stay_so_when_the_connection_is_lost() {
        let mut anchors = Anchors::default();
        for number in 1..=4 {
            anchors.begin(id(number.into()), at(number));
        }
        assert_eq!(anchors.list(), [at(1), at(2)]);
        anchors.end(id(1));
        assert_eq!(anchors.list(), [at(2), at(3)]);
        for session in 2..=4 {
            anchors.end(id(session));
        }
        assert_eq!(anchors.list(), [at(4), at(3)], "nobody is left, so those before count");
        anchors.refuse(|address| address == at(4));
        assert_eq!(anchors.list(), [at(3)]);
        anchors.begin(id(9), at(9));
        assert_eq!(anchors.list(), [at(9), at(3)]);
    }

    #[test]
    fn they_read_back_are_written_once_and_a_damaged_record_is_an_error() {
        let mut anchors = Anchors::default();
        anchors.begin(id(1), at(1));
        anchors.begin(id(2), "[2001:db8::1]:7".parse().unwrap());
        let record = anchors.take_changed().unwrap();
        assert_eq!(anchors.take_changed(), None);
        anchors.put_back();
        assert_eq!(anchors.take_changed().as_ref(), Some(&record), "it was not written");
        let mut next = Anchors::default();
        next.restore(&record).unwrap();
        assert_eq!((next.list(), next.take_changed()), (anchors.list(), None));
        assert!(next.restore(&record[1..]).is_err() && next.restore(&[]).is_err());
        assert!(next.restore(&record[..record.len() - 1]).is_err());
    }
}
