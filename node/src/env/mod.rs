//! Everything from outside the program enters here: clock, randomness, network, disk, heavy computation.
//!
//! The rest of the node gets an `Env` and cannot reach past it (clippy's `disallowed-methods` sees to that), so that
//! a simulation can replace all of it.

pub mod disk;
