//! The `farthing-node` program.
fn main() {}
