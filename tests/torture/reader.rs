//! A reader: it begins anywhere, is disconnected at any moment, pauses, goes to the other node, and checks every frame.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use farthing::{
    BlockId, Params,
    wire::v1::{
        SubscribeBlocksRequest, SubscribeBlocksResponse, ledger_service_client::LedgerServiceClient,
        subscribe_blocks_request::Start,
    },
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore as _, SeedableRng as _},
};
use tokio::{sync::watch, time::timeout};
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt as _;

use super::{
    lines::{Line, NODES},
    model::Model,
    state::{State, Step},
};
use crate::harness::PATIENCE;

/// A block's view may be larger than what gRPC takes unless told otherwise.
const LARGEST_FRAME: usize = 40 << 20;
/// Readers leave at the latest after so many frames.
const LONGEST_READ: u64 = 1_500;
/// A longer pause than a node bears: it cuts a connection on which an answer waits for 30 s.
const TOO_LONG: Duration = Duration::from_secs(33);
/// Cursors that are kept for others, at most.
const SHARED: usize = 512;

/// What all readers share.
pub(crate) struct Common {
    pub(crate) params: Arc<Params>,
    pub(crate) model: Arc<Model>,
    pub(crate) counts: Counts,
    /// Where to stop; set at the end.
    pub(crate) end: watch::Receiver<Option<BlockId>>,
    /// Whether some pauses are longer than a node bears.
    pub(crate) long_pauses: bool,
    /// Cursors that readers were given, with the node that gave them.
    pub(crate) cursors: Mutex<Vec<(usize, Vec<u8>)>>,
}

macro_rules! counts {
    ($($(#[$about:meta])* $name:ident = $label:literal),+ $(,)?) => {
        /// What happened to all readers together.
        #[derive(Debug, Default)]
        pub(crate) struct Counts { $($(#[$about])* pub(crate) $name: AtomicU64),+ }

        impl Counts {
            /// Each with its name.
            pub(crate) fn list(&self) -> Vec<(&'static str, u64)> {
                vec![$(($label, self.$name.load(Ordering::Relaxed))),+]
            }
        }
    };
}

counts! {
    opened = "streams opened",
    from_tip = "begun at the tip",
    from_height = "begun at a height",
    from_id = "begun behind a block's id",
    from_cursor = "begun with another reader's cursor",
    resumed_cursor = "resumed with the own cursor",
    resumed_id = "resumed behind the own last block's id",
    moved = "cursors used on the other node than gave them",
    applied = "blocks applied",
    undone = "blocks undone",
    progress = "frames of progress",
    left = "streams left by the reader",
    cut = "connections cut by the network",
    broken = "streams that broke",
    refused = "streams refused: node down, behind, or without the block",
    paused = "pauses",
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// What a reader ends with.
pub(crate) struct Ended {
    pub(crate) digest: [u8; 32],
}

pub(crate) struct Reader {
    pub(crate) common: Arc<Common>,
    pub(crate) line: Arc<Line>,
    random: ChaCha8Rng,
    state: Option<State>,
    /// The last frame's, and the node that gave it.
    cursor: Option<(usize, Vec<u8>)>,
    end: watch::Receiver<Option<BlockId>>,
}

/// How a stream ended.
enum Over {
    /// The reader leaves, or is where it should stop.
    Left,
    /// The other side, or the network.
    Broke,
}

impl Reader {
    pub(crate) fn new(common: &Arc<Common>, line: &Arc<Line>, seed: u64, number: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(number + 1);
        let (common, line) = (Arc::clone(common), Arc::clone(line));
        let end = common.end.clone();
        Self { common, line, random, state: None, cursor: None, end }
    }

    fn one_in(&mut self, many: u32) -> bool {
        self.random.next_u32().is_multiple_of(many)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.random.next_u64() % limit
    }

    /// Where all readers should stop, at the end.
    fn goal(&self) -> Option<BlockId> {
        *self.end.borrow()
    }

    fn is_done(&self) -> bool {
        let last = self.state.as_ref().and_then(State::last);
        self.goal().is_some_and(|goal| last == Some(goal))
    }

    /// Reads until the end is known and reached. An error is what must not be.
    pub(crate) async fn live(mut self) -> Result<Ended, String> {
        while !self.is_done() {
            let node = self.below(NODES as u64) as usize;
            if self.goal().is_none() && self.one_in(40) {
                // All is forgotten.
                (self.state, self.cursor) = (None, None);
            }
            let opened = self.open(node).await?;
            let pause = match opened {
                Some((stream, expected)) => self.read(node, stream, expected).await?,
                None => {
                    count(&self.common.counts.refused);
                    Duration::from_millis(50 + self.below(300))
                }
            };
            if let Some(state) = &self.state {
                state.check(&self.common.model)?;
            }
            tokio::time::sleep(pause).await;
        }
        let state = self.state.expect("it stands somewhere");
        state.check(&self.common.model)?;
        Ok(Ended { digest: state.digest(&self.common.model)? })
    }

    /// Where to begin or to go on; with it the height that must come next, if that is known.
    fn start(&mut self, node: usize) -> (Start, Option<u64>) {
        let common = Arc::clone(&self.common);
        let counts = &common.counts;
        if let Some(state) = &self.state {
            let last = state.last();
            if let Some(last) = last.filter(|_| self.random.next_u32().is_multiple_of(5)) {
                count(&counts.resumed_id);
                return (Start::AfterBlockId(last.to_bytes().to_vec().into()), None);
            }
            let (from, cursor) = self.cursor.clone().expect("a state comes from frames");
            count(&counts.resumed_cursor);
            if from != node {
                count(&counts.moved);
            }
            return (Start::Cursor(cursor.into()), None);
        }
        match self.below(4) {
            0 => {
                count(&counts.from_tip);
                (Start::FromTip(true), None)
            }
            1 => {
                count(&counts.from_height);
                let height = self.below(common.model.tip_height() + 2);
                (Start::FromHeight(height), Some(height))
            }
            2 => {
                count(&counts.from_id);
                let id = common.model.any(self.random.next_u32() as usize);
                (Start::AfterBlockId(id.to_bytes().to_vec().into()), None)
            }
            _ => {
                let shared = common.cursors.lock().unwrap_or_else(PoisonError::into_inner);
                let Some((from, cursor)) = shared.get(self.random.next_u32() as usize % shared.len().max(1)).cloned()
                else {
                    count(&counts.from_height);
                    return (Start::FromHeight(0), Some(0));
                };
                count(&counts.from_cursor);
                if from != node {
                    count(&counts.moved);
                }
                (Start::Cursor(cursor.into()), None)
            }
        }
    }

    /// Opens a stream; none if that cannot be now.
    async fn open(&mut self, node: usize) -> Result<Option<(Streaming<SubscribeBlocksResponse>, Option<u64>)>, String> {
        let Some(channel) = self.line.channel(node) else { return Ok(None) };
        let (start, expected) = self.start(node);
        let request = SubscribeBlocksRequest {
            start: Some(start),
            stop_height: None,
            headers_only: false,
            filter: None,
            read_mask: None,
        };
        let mut client = LedgerServiceClient::new(channel).max_decoding_message_size(LARGEST_FRAME);
        match timeout(PATIENCE, client.subscribe_blocks(request)).await {
            Ok(Ok(response)) => {
                count(&self.common.counts.opened);
                Ok(Some((response.into_inner(), expected)))
            }
            Ok(Err(status)) => may_be(&status).map(|()| None),
            Err(_) => Err(format!("node {node} opened no stream within {PATIENCE:?}")),
        }
    }

    /// Reads for a while, and says how long to wait before the next stream.
    async fn read(
        &mut self,
        node: usize,
        mut stream: Streaming<SubscribeBlocksResponse>,
        expected: Option<u64>,
    ) -> Result<Duration, String> {
        let most = 1 + self.below(LONGEST_READ);
        // Short ones too.
        let most = if self.one_in(3) { 1 + most % 20 } else { most };
        let pause_at = if self.one_in(6) { self.below(most) } else { u64::MAX };
        let mut first = expected;
        for taken in 0.. {
            if self.is_done() || (taken >= most && self.goal().is_none()) {
                break;
            }
            if taken == pause_at && self.goal().is_none() {
                self.pause().await;
            }
            match self.next(node, &mut stream, &mut first).await? {
                None => {}
                Some(Over::Left) => break,
                Some(Over::Broke) => {
                    count(&self.common.counts.broken);
                    return Ok(Duration::from_millis(self.below(200)));
                }
            }
        }
        let counter = if self.goal().is_none() && self.one_in(20) {
            self.line.cut(node);
            &self.common.counts.cut
        } else {
            &self.common.counts.left
        };
        count(counter);
        Ok(Duration::from_millis(self.below(500)))
    }

    async fn pause(&mut self) {
        count(&self.common.counts.paused);
        let too_long = self.common.long_pauses && self.one_in(8);
        let pause = if too_long { TOO_LONG } else { Duration::from_millis(self.below(4_000)) };
        // The end is worth waking for.
        let _ = timeout(pause, self.end.wait_for(Option::is_some)).await;
    }

    /// Takes a frame.
    async fn next(
        &mut self,
        node: usize,
        stream: &mut Streaming<SubscribeBlocksResponse>,
        first: &mut Option<u64>,
    ) -> Result<Option<Over>, String> {
        let frame = tokio::select! {
            frame = timeout(PATIENCE, stream.message()) => frame,
            // A reader that waits at the tip must learn that the end has come.
            _ = self.end.changed() => return Ok(None),
        };
        let frame = match frame {
            Ok(Ok(Some(frame))) => frame,
            Ok(Ok(None)) => return Err("a stream without a stop height ended with OK".to_owned()),
            Ok(Err(status)) => return may_be(&status).map(|()| Some(Over::Broke)),
            Err(_) => return Err(format!("node {node} was silent for {PATIENCE:?}")),
        };
        let common = Arc::clone(&self.common);
        let mut state = match self.state.take() {
            Some(state) => state,
            None => State::before(&common.model, &frame)?,
        };
        if let Some(height) = first.take().filter(|height| *height != state.next_height()) {
            return Err(format!("asked for height {height}, stands before {}", state.next_height()));
        }
        let step = state.take(&common.params, &common.model, frame.event.as_ref())?;
        self.state = Some(state);
        let cursor = (node, frame.cursor.to_vec());
        if self.one_in(50) {
            let mut shared = common.cursors.lock().unwrap_or_else(PoisonError::into_inner);
            let at = self.random.next_u32() as usize % SHARED;
            if at < shared.len() { shared[at] = cursor.clone() } else { shared.push(cursor.clone()) }
        }
        self.cursor = Some(cursor);
        match step {
            Step::Applied => count(&common.counts.applied),
            Step::Undone => count(&common.counts.undone),
            Step::Nothing => count(&common.counts.progress),
            Step::Draining => return Ok(Some(Over::Left)),
        }
        Ok(None)
    }
}

/// An error is one that a node that is killed, or is behind the other, does not explain.
fn may_be(status: &Status) -> Result<(), String> {
    let reason = status.get_details_error_info().map(|info| info.reason);
    match (status.code(), reason.as_deref()) {
        // The block is not here yet, or never was: this node was down while it was on the best chain.
        (Code::NotFound, Some("CURSOR_UNKNOWN")) | (Code::OutOfRange, Some("HEIGHT_ABOVE_TIP")) => Ok(()),
        // Without a reason: nobody answered.
        (Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal, None) => Ok(()),
        _ => Err(format!("{status:?}")),
    }
}
