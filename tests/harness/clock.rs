//! A node's clock that can be set wrong.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use farthing::TimeMs;
use farthing_node::env::{Clock, SystemClock};

/// Time passes as on the machine, for timers do too; what the clock says can be moved. Clones share the hands.
#[derive(Clone, Debug, Default)]
pub(crate) struct SkewedClock {
    machine: SystemClock,
    ahead_ms: Arc<AtomicI64>,
}

impl SkewedClock {
    /// Sets the clock so many milliseconds ahead of the machine's, or behind it.
    pub(crate) fn set_ahead_ms(&self, ahead: i64) {
        self.ahead_ms.store(ahead, Ordering::Relaxed);
    }
}

impl Clock for SkewedClock {
    fn now(&self) -> TimeMs {
        TimeMs::new(self.machine.now().get().saturating_add_signed(self.ahead_ms.load(Ordering::Relaxed)))
    }

    fn elapsed(&self) -> Duration {
        self.machine.elapsed()
    }
}
