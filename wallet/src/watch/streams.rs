//! Follows an account, and what waits for it in a mempool, over the streams of the nodes. All that a stream says is a reason to
//! look; what is told is proven as if there was none. Where a node has no streams, or none comes about, it is asked again and
//! again instead.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use farthing::{Address, Params};
use farthing_client::{Client, MempoolEvent, NodeUrl, WatchStart};
use tokio::{runtime::Runtime, sync::Notify, time::sleep};

use super::bell::{Bell, Ring};

/// The first pause before a stream that broke is asked for again; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// Largest message: a block's entries of one account.
const MAX_MESSAGE_BYTES: usize = 8 * 1024 * 1024;

/// Which streams are there.
#[derive(Debug, Default)]
struct Open {
    account: AtomicBool,
    mempool: AtomicBool,
}

/// The streams, until it is dropped.
#[derive(Debug)]
pub(super) struct Streams {
    open: Arc<Open>,
    runtime: Option<Runtime>,
}

impl Streams {
    /// Begins to follow. Without what that needs nothing is ever open.
    pub(super) fn begin(nodes: &[NodeUrl], network: &Arc<Params>, address: Address, bell: &Bell) -> Self {
        let open = Arc::<Open>::default();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let client = Client::builder(Arc::clone(network))
            .nodes(nodes.iter().cloned())
            .max_answer_bytes(MAX_MESSAGE_BYTES)
            .user_agent(concat!("farthing-wallet/", env!("CARGO_PKG_VERSION")))
            .build();
        let (Ok(runtime), Ok(client)) = (runtime, client) else {
            return Self { open, runtime: None };
        };
        runtime.spawn(follow_account(client.clone(), address, bell.clone(), Arc::clone(&open)));
        runtime.spawn(follow_mempool(client, address, bell.clone(), Arc::clone(&open)));
        Self { open, runtime: Some(runtime) }
    }

    /// Whether everything that happens rings.
    pub(super) fn are_open(&self) -> bool {
        self.open.account.load(Ordering::Relaxed) && self.is_mempool_open()
    }

    /// Whether everything that arrives rings.
    pub(super) fn is_mempool_open(&self) -> bool {
        self.open.mempool.load(Ordering::Relaxed)
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn follow_account(client: Client, address: Address, bell: Bell, open: Arc<Open>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let trouble = Arc::new(Notify::new());
        let told = Arc::clone(&trouble);
        let mut watch = client.watch_account(&address, WatchStart::Tip).on_trouble(move |_| told.notify_one());
        loop {
            tokio::select! {
                biased;
                () = trouble.notified() => break,
                frame = watch.next() => if frame.is_err() { break },
            }
            pause = FIRST_PAUSE;
            open.account.store(true, Ordering::Relaxed);
            bell.ring(Ring::Look);
        }
        drop(watch);
        broke(&open.account, &bell, &mut pause).await;
    }
}

async fn follow_mempool(client: Client, address: Address, bell: Bell, open: Arc<Open>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let trouble = Arc::new(Notify::new());
        let told = Arc::clone(&trouble);
        let mut watch = client.watch_mempool(&[address], None).on_trouble(move |_| told.notify_one());
        loop {
            let event = tokio::select! {
                biased;
                () = trouble.notified() => break,
                frame = watch.next() => match frame {
                    Ok(frame) => frame.event,
                    Err(_) => break,
                },
            };
            pause = FIRST_PAUSE;
            match event {
                MempoolEvent::Added(transaction) => bell.ring(Ring::Arrives(Box::new(transaction))),
                MempoolEvent::Present => open.mempool.store(true, Ordering::Relaxed),
                MempoolEvent::Reset | MempoolEvent::Changed { .. } | MempoolEvent::Removed { .. } => {}
            }
        }
        drop(watch);
        broke(&open.mempool, &bell, &mut pause).await;
    }
}

/// From now on it is asked for; after a while the stream is, too.
async fn broke(open: &AtomicBool, bell: &Bell, pause: &mut Duration) {
    if open.swap(false, Ordering::Relaxed) {
        bell.ring(Ring::Look);
    }
    sleep(*pause).await;
    *pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
}
