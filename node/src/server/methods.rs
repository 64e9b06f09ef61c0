//! What each method may cost: how long it may take, how large its requests may be, whether it stays open.

use std::{collections::BTreeMap, time::Duration};

use prost::{DecodeError, Message as _};
use prost_types::FileDescriptorSet;

/// Deadline of a method that answers at once.
pub const UNARY_DEADLINE: Duration = Duration::from_secs(10);

/// What one method may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodPolicy {
    pub(super) deadline: Option<Duration>,
    pub(super) max_message: usize,
    pub(super) many_requests: bool,
    pub(super) long: bool,
    pub(super) session: bool,
}

impl MethodPolicy {
    /// One request of at most so many bytes, answered within 10 s.
    pub const fn unary(max_message: usize) -> Self {
        Self { deadline: Some(UNARY_DEADLINE), max_message, many_requests: false, long: false, session: false }
    }

    /// One request, answered when something happens, at the latest at the deadline.
    pub const fn wait(max_message: usize, deadline: Duration) -> Self {
        Self { deadline: Some(deadline), max_message, many_requests: false, long: true, session: false }
    }

    /// One request, answered by a stream that begins within 10 s and has no end.
    pub const fn server_stream(max_message: usize) -> Self {
        Self { deadline: Some(UNARY_DEADLINE), max_message, many_requests: false, long: true, session: false }
    }

    /// A stream of answers that is a session: its connection is wanted for as long as it is open.
    pub const fn session(max_message: usize) -> Self {
        Self { session: true, ..Self::server_stream(max_message) }
    }

    /// A stream of requests, each of at most so many bytes, with or without a stream of answers.
    pub const fn client_stream(max_message: usize) -> Self {
        Self { deadline: None, max_message, many_requests: true, long: true, session: false }
    }
}

/// The methods of a listener. A method that is not in the table is not served, so that none is forgotten.
#[derive(Clone, Debug)]
pub struct MethodTable(BTreeMap<&'static str, MethodPolicy>);

impl Default for MethodTable {
    fn default() -> Self {
        Self::new()
    }
}

impl MethodTable {
    /// A table with health and reflection, which every listener serves.
    pub fn new() -> Self {
        Self(BTreeMap::new())
            .with("/grpc.health.v1.Health/Check", MethodPolicy::unary(1024))
            .with("/grpc.health.v1.Health/Watch", MethodPolicy::server_stream(1024))
            .with("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", MethodPolicy::client_stream(4096))
            .with("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", MethodPolicy::client_stream(4096))
    }

    /// Adds a method by its path, such as `/farthing.v1.LedgerService/GetBlock`.
    #[must_use]
    pub fn with(mut self, path: &'static str, policy: MethodPolicy) -> Self {
        self.0.insert(path, policy);
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
        self.0.get(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forgotten_method_is_found_by_the_descriptors() {
        let table = MethodTable::new();
        assert_eq!(table.missing(tonic_health::pb::FILE_DESCRIPTOR_SET).unwrap(), Vec::<String>::new());
        let missing = table.missing(farthing::wire::PEER_DESCRIPTORS).unwrap();
        assert!(missing.contains(&"/farthing.peer.v1.PeerService/Handshake".to_owned()), "{missing:?}");
    }
}
