//! What each method may cost: how long it may take, how large its requests may be, how many of them there may be at a
//! time and in the course of time, whether it stays open.

use std::{collections::BTreeMap, time::Duration};

use prost::{DecodeError, Message as _};
use prost_types::FileDescriptorSet;

use super::rate::Rate;

/// Deadline of a method that answers at once.
pub const UNARY_DEADLINE: Duration = Duration::from_secs(10);

/// How many calls of a method one connection may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calls {
    /// At a time; at least 1.
    pub at_a_time: u32,
    /// In the course of time.
    pub rate: Rate,
}

/// So many calls at a time, so many a second, so many at once after a pause.
pub const fn calls(at_a_time: u32, per_second: u64, burst: u64) -> Calls {
    Calls { at_a_time, rate: Rate { per_second, burst } }
}

/// What a call costs, where that is not the same for all calls of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Headers in the answer.
    Headers,
    /// Bytes of blocks or of their transactions, in the answer or in the request.
    BlockBytes,
    /// Wire ids in the request.
    WireIds,
    /// Addresses of nodes in the request.
    Addresses,
    /// Transactions in the request, or gone through for the answer.
    Transactions,
    /// Blocks gone through for the answer, whether or not it tells of them.
    Blocks,
}

impl Unit {
    /// The name in errors and in `GetLimits`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Headers => "headers",
            Self::BlockBytes => "block_bytes",
            Self::WireIds => "wire_ids",
            Self::Addresses => "addresses",
            Self::Transactions => "transactions",
            Self::Blocks => "blocks",
        }
    }
}

/// What one method may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodPolicy {
    pub(super) deadline: Option<Duration>,
    pub(super) max_message: usize,
    pub(super) calls: Calls,
    pub(super) items: Option<(Unit, Rate)>,
    pub(super) many_requests: bool,
    pub(super) long: bool,
    pub(super) session: bool,
}

impl MethodPolicy {
    /// One request of at most so many bytes, answered within 10 s.
    pub const fn unary(max_message: usize, calls: Calls) -> Self {
        let deadline = Some(UNARY_DEADLINE);
        Self { deadline, max_message, calls, items: None, many_requests: false, long: false, session: false }
    }

    /// One request, answered when something happens, at the latest at the deadline.
    pub const fn wait(max_message: usize, calls: Calls, deadline: Duration) -> Self {
        Self { deadline: Some(deadline), long: true, ..Self::unary(max_message, calls) }
    }

    /// One request, answered by a stream that begins within 10 s and has no end.
    pub const fn server_stream(max_message: usize, calls: Calls) -> Self {
        Self { long: true, ..Self::unary(max_message, calls) }
    }

    /// A stream of answers that is a session: its connection is wanted for as long as it is open.
    pub const fn session(max_message: usize, calls: Calls) -> Self {
        Self { session: true, ..Self::server_stream(max_message, calls) }
    }

    /// A stream of requests, each of at most so many bytes, with or without a stream of answers.
    pub const fn client_stream(max_message: usize, calls: Calls) -> Self {
        Self { deadline: None, many_requests: true, long: true, ..Self::unary(max_message, calls) }
    }

    /// The same, counted by what its calls ask for beside their number: [`CallMeter::charge`](super::CallMeter::charge).
    #[must_use]
    pub const fn counting(self, unit: Unit, per_second: u64, burst: u64) -> Self {
        Self { items: Some((unit, Rate { per_second, burst })), ..self }
    }

    /// The same with another limit on calls.
    #[must_use]
    pub const fn with_calls(self, at_a_time: u32, rate: Rate) -> Self {
        Self { calls: Calls { at_a_time, rate }, ..self }
    }

    /// How long a call may take until its answer begins; none for a stream of requests.
    #[must_use]
    pub const fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Whether the call is a stream of requests.
    #[must_use]
    pub const fn takes_many_requests(&self) -> bool {
        self.many_requests
    }

    /// Bytes of a request, or of each request of a stream, at most.
    #[must_use]
    pub const fn max_message(&self) -> usize {
        self.max_message
    }

    /// Calls of one connection.
    #[must_use]
    pub const fn calls(&self) -> Calls {
        self.calls
    }

    /// What else one connection's calls are counted by.
    #[must_use]
    pub const fn items(&self) -> Option<(Unit, Rate)> {
        self.items
    }
}

/// The methods of a listener. A method that is not in the table is not served, so that none is forgotten.
#[derive(Clone, Debug)]
pub struct MethodTable(BTreeMap<&'static str, Row>);

/// One method of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// Its place among what a connection remembers of all of them.
    pub(super) number: usize,
    pub(super) path: &'static str,
    pub(super) policy: MethodPolicy,
}

impl Default for MethodTable {
    fn default() -> Self {
        Self::new()
    }
}

impl MethodTable {
    /// A table with health and reflection, which every listener serves.
    pub fn new() -> Self {
        let stream = calls(4, 10, 40);
        Self(BTreeMap::new())
            .with("/grpc.health.v1.Health/Check", MethodPolicy::unary(1024, calls(8, 100, 200)))
            .with("/grpc.health.v1.Health/Watch", MethodPolicy::server_stream(1024, stream))
            .with(
                "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                MethodPolicy::client_stream(4096, stream),
            )
            .with(
                "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                MethodPolicy::client_stream(4096, stream),
            )
    }

    /// Adds a method by its path, such as `/farthing.v1.LedgerService/GetBlock`, or puts another policy in the place of
    /// the one that it has.
    #[must_use]
    pub fn with(mut self, path: &'static str, policy: MethodPolicy) -> Self {
        let number = self.0.get(path).map_or(self.0.len(), |row| row.number);
        self.0.insert(path, Row { number, path, policy });
        self
    }

    /// The methods of a descriptor set that have no policy, for the test that none was forgotten.
    ///
    /// # Errors
    /// If the bytes are no descriptor set.
    pub fn missing(&self, descriptors: &[u8]) -> Result<Vec<String>, DecodeError> {
        let set = FileDescriptorSet::decode(descriptors)?;
        let mut missing = Vec::new();
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                    if self.get(&path).is_none() {
                        missing.push(path);
                    }
                }
            }
        }
        Ok(missing)
    }

    /// The policy of a path.
    pub fn get(&self, path: &str) -> Option<&MethodPolicy> {
        self.row(path).map(|row| &row.policy)
    }

    /// All methods by path.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &MethodPolicy)> {
        self.0.values().map(|row| (row.path, &row.policy))
    }

    pub(super) fn row(&self, path: &str) -> Option<&Row> {
        self.0.get(path)
    }

    /// How many methods there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_policy_for_a_method_takes_the_place_of_the_first_and_no_two_methods_share_a_number() {
        let policy = MethodPolicy::unary(7, calls(1, 1, 1));
        let table = MethodTable::new().with("/grpc.health.v1.Health/Check", policy).with("/a/b", policy);
        assert_eq!((table.len(), table.get("/grpc.health.v1.Health/Check")), (5, Some(&policy)));
        let numbers: std::collections::BTreeSet<usize> = table.0.values().map(|row| row.number).collect();
        assert_eq!(numbers, (0..5).collect());
    }

    #[test]
    fn a_forgotten_method_is_found_by_the_descriptors() {
        let table = MethodTable::new();
        assert_eq!(table.missing(tonic_health::pb::FILE_DESCRIPTOR_SET).unwrap(), Vec::<String>::new());
        let missing = table.missing(farthing::wire::PEER_DESCRIPTORS).unwrap();
        assert!(missing.contains(&"/farthing.peer.v1.PeerService/Handshake".to_owned()), "{missing:?}");
    }
}
