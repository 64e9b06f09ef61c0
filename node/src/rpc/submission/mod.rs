//! More ways to submit a transfer: as a stream, with a wait for what becomes of it, or only to see what would happen.

mod simulate;
mod stream;
mod wait;

pub(super) use simulate::simulate;
pub(super) use stream::{Intake, verdicts};
pub(super) use wait::{DEADLINE, submit_and_wait};
