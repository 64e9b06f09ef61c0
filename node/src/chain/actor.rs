//! The writer's task: one command after the other, off the async threads; retries and ties on time.

use std::{
    num::{NonZeroU64, NonZeroUsize},
    sync::{Arc, Mutex},
    time::Duration,
};

use farthing::Params;
use farthing_consensus::HeaderContext;
use tokio::{
    sync::{broadcast, mpsc, watch},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    Chain, ChainView, VerifiedCache,
    events::Origin,
    finality::Finality,
    handle::{Command, Shared},
    headers::HeaderTree,
    keys::KeyCache,
    rejection::{BlockRejection, ChainError, HeaderRejection},
    writer::Writer,
};
use crate::{
    byte_cache::ByteCache,
    env::Env,
    store::{Store, StoreError},
    tasks::Tasks,
};

/// Commands that may wait; each holds a block at most.
const COMMANDS: usize = 16;
/// Changes of the tip that a follower may be behind.
const CHANGES: usize = 64;
/// Bytes of blocks, by their canonical size, that are kept with the ids of their transactions.
const READ_BLOCKS_BYTES: usize = 8 << 20;
/// How often blocks from the future are looked at.
const RETRY_FUTURE: Duration = Duration::from_secs(1);
/// How soon a tie is tried again that could not be taken when it was due.
const RETRY_TIE: Duration = Duration::from_secs(5);

/// What the operator decides about the chain.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Parsed keys that are kept; about 2 KiB each.
    pub keys: NonZeroUsize,
    /// Transactions whose signature is remembered as good; about 100 bytes each.
    pub verified: NonZeroUsize,
    /// Headers that may wait for their bodies; about 600 bytes each. A branch that leaves the best chain further below the
    /// tip cannot be fetched, for until its last header is known nobody can tell that it has more work.
    pub waiting_headers: usize,
    /// A block with so many others on top is never undone; none: any may be.
    pub finality_depth: Option<NonZeroU64>,
}

impl Default for Settings {
    fn default() -> Self {
        const KEYS: NonZeroUsize = NonZeroUsize::new(16_384).expect("not zero");
        const VERIFIED: NonZeroUsize = NonZeroUsize::new(200_000).expect("not zero");
        Self { keys: KEYS, verified: VERIFIED, waiting_headers: 100_000, finality_depth: None }
    }
}

/// Starts the chain at what the store recovered: the view of its tip, and side tips that may be heavier.
pub fn start(
    params: Arc<Params>,
    env: Env,
    store: Arc<dyn Store>,
    view: ChainView,
    candidates: Vec<HeaderContext>,
    settings: Settings,
    tasks: &Tasks,
) -> Chain {
    let (commands, inbox) = mpsc::channel(COMMANDS);
    let shared = Arc::new(Shared {
        finality: Finality::new(settings.finality_depth, view.tip.height()),
        params,
        env,
        store,
        view: watch::Sender::new(Arc::new(view)),
        changes: broadcast::Sender::new(CHANGES),
        headers: Mutex::new(HeaderTree::new(settings.waiting_headers)),
        keys: KeyCache::new(settings.keys),
        verified: VerifiedCache::new(settings.verified),
        read_blocks: ByteCache::new(READ_BLOCKS_BYTES),
        waits: watch::Sender::new(false),
    });
    let writer = Writer::new(Arc::clone(&shared), candidates);
    tasks.spawn("chain", run(writer, inbox, tasks.token().clone()));
    Chain { shared, commands }
}

async fn run(
    mut writer: Writer,
    mut inbox: mpsc::Receiver<Command>,
    stop: CancellationToken,
) -> Result<(), ChainError> {
    writer = on_thread(writer, |writer| writer.choose_branch(Origin::Local)).await?;
    let mut tried_in_vain = false;
    let mut tried_future = Instant::now();
    loop {
        let timer = next_timer(&writer, tried_future.elapsed(), tried_in_vain);
        tried_in_vain = false;
        let next = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            command = inbox.recv() => command,
            () = sleep(timer.unwrap_or_default()), if timer.is_some() => {
                writer = on_thread(writer, |writer| {
                    writer.retry_future()?;
                    writer.choose_branch(Origin::Local)
                }).await?;
                tried_future = Instant::now();
                tried_in_vain = writer.tie_deadline().is_some_and(|wait| wait.is_zero());
                continue;
            }
        };
        let Some(command) = next else { return Ok(()) };
        writer = obey(writer, command).await?;
    }
}

/// When something is to be done although nobody asks: blocks from the future are looked at every second, however many
/// commands come between. A tie that could not be taken, for want of room on the disk or of
/// a good copy of a block, is not tried again at once.
fn next_timer(writer: &Writer, since_future: Duration, tried_in_vain: bool) -> Option<Duration> {
    let retry = (!writer.future.is_empty()).then(|| RETRY_FUTURE.saturating_sub(since_future));
    let tie = writer.tie_deadline().map(|wait| if tried_in_vain { wait.max(RETRY_TIE) } else { wait });
    [retry, tie].into_iter().flatten().min()
}

/// Runs one command and answers it. Only a fault that the process must stop for comes back as an error.
async fn obey(writer: Writer, command: Command) -> Result<Writer, ChainError> {
    let compute = writer.shared.env.compute().clone();
    let mut writer = writer;
    // Whoever asked may have gone; the work was done all the same.
    let (writer, fault) = compute
        .run_blocking(move || {
            let fault = match command {
                Command::Block(block, origin, answer) => {
                    let result = writer.take_block(*block, origin);
                    writer.note_trouble(&result);
                    let fault = result.as_ref().err().and_then(fatal);
                    let _ = answer.send(result);
                    fault
                }
                Command::Headers(headers, answer) => {
                    let result = writer.take_headers(&headers);
                    let fault = match &result {
                        Err(HeaderRejection::Chain(error)) if error.is_fatal() => Some(error.clone()),
                        _ => None,
                    };
                    let _ = answer.send(result);
                    fault
                }
                Command::Forget(session, answer) => {
                    writer.forget_session(session);
                    let _ = answer.send(());
                    None
                }
                Command::Begin(beginning, answer) => {
                    let result = writer.begin_at(*beginning);
                    // The cause stands in the store; it is said to whoever asked.
                    let fault = match (&result, writer.shared.store.poisoned()) {
                        (Err(_), Some(cause)) => Some(ChainError::from(StoreError::Poisoned(cause))),
                        _ => None,
                    };
                    let _ = answer.send(result);
                    fault
                }
            };
            (writer, fault)
        })
        .await;
    fault.map_or(Ok(writer), Err)
}

async fn on_thread(
    mut writer: Writer,
    work: impl FnOnce(&mut Writer) -> Result<(), BlockRejection> + Send + 'static,
) -> Result<Writer, ChainError> {
    let compute = writer.shared.env.compute().clone();
    let (writer, fault) = compute
        .run_blocking(move || {
            let fault = work(&mut writer).err();
            (writer, fault)
        })
        .await;
    match fault.as_ref().and_then(fatal) {
        Some(error) => Err(error),
        None => Ok(writer),
    }
}

fn fatal(rejection: &BlockRejection) -> Option<ChainError> {
    match rejection {
        BlockRejection::Chain(error) if error.is_fatal() => Some(error.clone()),
        _ => None,
    }
}
