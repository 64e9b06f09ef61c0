//! The mempool: transfers that wait to be mined.
//!
//! `pool` decides, without clock, threads or disk; [`Mempool`] is the handle that everybody holds. A transfer is
//! acknowledged, and told to peers, only after the journal has it on disk.

mod budget;
mod disk_journal;
mod drop_reason;
mod follow;
mod handle;
mod journal;
mod ledger;
mod limits;
mod listing;
mod news;
mod pool;
mod rejection;
mod shared;
mod simulate;
mod start;
mod submit;
mod types;
mod writer;

#[cfg(test)]
mod tests;

pub use disk_journal::DiskJournal;
pub use drop_reason::DropReason;
pub use follow::{StartingLedger, follow};
pub use handle::Mempool;
pub use journal::{JournalEntry, JournalError, LoadedEntry, MemoryJournal, PoolJournal};
pub use ledger::{Confirmed, Ledger};
pub use limits::PoolLimits;
pub use news::{Exit, Overtaken, PoolEvent, PoolHead, PoolNews, PoolPart};
pub use pool::{Level, Outlook, Paid, Prices, ProjectedBlock};
pub use rejection::{Rejection, RejectionKind};
pub use simulate::Simulation;
pub use start::start;
pub use submit::{Begun, Places};
pub use types::{
    AccountPending, Admitted, Announcement, Arrival, Listed, Page, PageCursor, PoolStats, PoolStatus, Pooled, Source,
    TemplateLimits,
};
