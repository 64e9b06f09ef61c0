//! Everything from outside the program enters here: clock, randomness, network, disk, heavy computation.
//!
//! The rest of the node gets an [`Env`] and cannot reach past it (clippy's `disallowed-methods` sees to that), so that
//! a simulation can replace all of it. Timers are tokio's, which a simulation controls by itself.

use std::{io, sync::Arc};

pub mod disk;

mod clock;
mod compute;
mod local;
mod net;
mod random;

pub use clock::{Clock, ManualClock, SystemClock};
pub use compute::Compute;
pub use disk::{Disk, DiskFile, DiskLock, MemDisk, RealDisk};
pub use local::{LocalSocket, ProcessWatch, fits_socket, is_short_path};
pub use net::{Admission, Connection, Io, Listener, Net, SystemNet, canonical, is_own_machine, prefix};
pub use random::{Random, SeededRandom, SystemRandom};

/// The outside world. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Env {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    net: Arc<dyn Net>,
    disk: Arc<dyn Disk>,
    compute: Compute,
}

impl Env {
    /// The machine that the program runs on.
    ///
    /// # Errors
    /// When the system refuses the threads for heavy work.
    pub fn system() -> io::Result<Self> {
        Ok(Self {
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(SystemRandom),
            net: Arc::new(SystemNet),
            disk: Arc::new(RealDisk),
            compute: Compute::for_this_machine()?,
        })
    }

    /// Another world, in which all work is done in place and nothing starts a thread: for a simulation.
    pub fn in_place(
        clock: impl Clock + 'static,
        random: impl Random + 'static,
        net: impl Net + 'static,
        disk: impl Disk + 'static,
    ) -> Self {
        Self {
            clock: Arc::new(clock),
            random: Arc::new(random),
            net: Arc::new(net),
            disk: Arc::new(disk),
            compute: Compute::inline(),
        }
    }

    /// Replaces the clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Replaces the randomness.
    #[must_use]
    pub fn with_random(mut self, random: impl Random + 'static) -> Self {
        self.random = Arc::new(random);
        self
    }

    /// Replaces the network.
    #[must_use]
    pub fn with_net(mut self, net: impl Net + 'static) -> Self {
        self.net = Arc::new(net);
        self
    }

    /// Replaces the disk.
    #[must_use]
    pub fn with_disk(mut self, disk: impl Disk + 'static) -> Self {
        self.disk = Arc::new(disk);
        self
    }

    /// Replaces the place of heavy work.
    #[must_use]
    pub fn with_compute(mut self, compute: Compute) -> Self {
        self.compute = compute;
        self
    }

    /// The clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The source of randomness.
    pub fn random(&self) -> &Arc<dyn Random> {
        &self.random
    }

    /// The network.
    pub fn net(&self) -> &Arc<dyn Net> {
        &self.net
    }

    /// The disk.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// The place for heavy work.
    pub fn compute(&self) -> &Compute {
        &self.compute
    }
}
