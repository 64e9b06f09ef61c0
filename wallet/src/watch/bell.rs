//! What wakes up a thread that watches: that there is something to look at, or that nobody wants to know any more.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    time::{Duration, Instant},
};

use farthing_client::WaitingTransaction;

use super::Next;

/// Rings that wait at most; what is rung more is found by looking.
const MOST_WAITING: usize = 256;

/// What rang.
pub(super) enum Ring {
    /// Something may have happened.
    Look,
    /// This came into a node's mempool.
    Arrives(Box<WaitingTransaction>),
}

/// Wakes up who holds the [`Rings`].
#[derive(Debug, Clone)]
pub struct Bell {
    rings: SyncSender<Ring>,
    /// Whether nobody wants to know any more.
    is_over: Arc<AtomicBool>,
}

/// Hears the [`Bell`].
#[derive(Debug)]
pub struct Rings {
    rings: Receiver<Ring>,
    is_over: Arc<AtomicBool>,
}

/// A bell and who hears it.
#[must_use]
pub fn bell() -> (Bell, Rings) {
    let (sender, receiver) = sync_channel(MOST_WAITING);
    let is_over = Arc::<AtomicBool>::default();
    (Bell { rings: sender, is_over: Arc::clone(&is_over) }, Rings { rings: receiver, is_over })
}

/// Ends what hears the bell when it is dropped.
#[derive(Debug)]
pub struct Stopper(Bell);

impl Bell {
    /// What ends the watching when it is dropped.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper(self.clone())
    }

    pub(super) fn ring(&self, ring: Ring) {
        // Full: then there is enough to wake up for. Nobody there: then nobody needs to.
        let _ = self.rings.try_send(ring);
    }
}

impl Drop for Stopper {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
        self.0.ring(Ring::Look);
    }
}

/// What ended a wait.
pub(super) enum Woken {
    /// There is something to look at, or it is time to.
    Look,
    /// This came into a node's mempool.
    Arrives(Box<WaitingTransaction>),
    /// Nobody wants to know any more, or the time is over.
    Stop,
}

impl Rings {
    /// Waits for a ring, for so long at most, and not beyond that moment.
    pub(super) fn wait(&self, period: Duration, until: Option<Instant>) -> Woken {
        let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
        let rung = self.rings.recv_timeout(left.min(period));
        match rung {
            _ if left.is_zero() || self.is_over.load(Ordering::Relaxed) => Woken::Stop,
            Ok(Ring::Look) => Woken::Look,
            Ok(Ring::Arrives(transaction)) => Woken::Arrives(transaction),
            Err(RecvTimeoutError::Timeout) if left > period => Woken::Look,
            Err(_) => Woken::Stop,
        }
    }

    /// Lets time pass.
    #[must_use]
    pub fn pause(&self, period: Duration) -> Next {
        let end = Instant::now() + period;
        loop {
            match self.wait(end.saturating_duration_since(Instant::now()), None) {
                Woken::Stop => return Next::Stop,
                _ if Instant::now() >= end => return Next::Go,
                Woken::Look | Woken::Arrives(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn a_ring_wakes_and_so_does_the_end() {
        let (bell, rings) = bell();
        bell.ring(Ring::Look);
        assert!(matches!(rings.wait(LONG, None), Woken::Look));
        assert!(matches!(rings.wait(Duration::ZERO, None), Woken::Look));
        assert!(matches!(rings.wait(LONG, Some(Instant::now())), Woken::Stop));
        assert_eq!(rings.pause(Duration::ZERO), Next::Go);
        let stopper = bell.stopper();
        // More than fits.
        (0..2 * MOST_WAITING).for_each(|_| bell.ring(Ring::Look));
        drop(stopper);
        assert!(matches!(rings.wait(LONG, None), Woken::Stop));
        assert_eq!(rings.pause(LONG), Next::Stop);
    }

    #[test]
    fn the_time_that_is_over_ends_a_wait_that_is_rung_at() {
        let (bell, rings) = bell();
        bell.ring(Ring::Look);
        assert!(matches!(rings.wait(LONG, Some(Instant::now())), Woken::Stop));
    }
}
