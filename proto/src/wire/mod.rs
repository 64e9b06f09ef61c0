//! The wire: generated gRPC code, and the one place where wire and domain types are converted.

/// The public API, `farthing.v1`.
#[allow(
    missing_docs,
    clippy::missing_errors_doc,
    clippy::too_many_lines,
    unreachable_pub,
    reason = "generated; the .proto files document it"
)]
pub mod v1 {
    tonic::include_proto!("farthing.v1");
}

/// What nodes say to each other, `farthing.peer.v1`.
#[allow(
    missing_docs,
    clippy::missing_errors_doc,
    clippy::too_many_lines,
    unreachable_pub,
    reason = "generated; the .proto files document it"
)]
pub mod peer {
    tonic::include_proto!("farthing.peer.v1");
}

/// Descriptor set of the public API, for reflection.
pub const PUBLIC_DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/public.bin"));
/// Descriptor set of the peer API, for reflection.
pub const PEER_DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/peer.bin"));
