//! What subscribers cost that never read: the time until a block is accepted, and memory.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{Crowd, grow, percentile, start, stop};
use crate::{
    ledger::{fund, payers, program::resident_mib},
    raw::{END_HEADERS, HEADERS, PING, PREFACE, SETTINGS, call_headers, dial_from, frame},
};

/// Blocks of so many transfers: a backlog of 200 is 16 MB for each subscriber.
const TRANSFERS: usize = 100;
/// Streams of one connection, below the 64 that one may have.
const PER_CONNECTION: usize = 50;
/// How often quiet and held parts alternate.
const TURNS: usize = 3;
const METHOD: &str = "/farthing.v1.LedgerService/SubscribeBlocks";
const WINDOW_UPDATE: u8 = 8;
const DATA: u8 = 0;
const END_STREAM: u8 = 1;
/// The largest window there is.
const WIDE: u32 = (1 << 31) - 1;
/// How often a holder looks whether it was cut.
const LOOK: Duration = Duration::from_millis(200);

/// Alternates parts without and with subscribers; each with them lasts beyond the 30 s after which the node cuts who does
/// not read.
pub(crate) async fn figures(subscribers: usize, blocks: usize) {
    let dir = tempfile::tempdir().unwrap();
    let node = start(dir.path()).await;
    let mut payers = payers();
    fund(&node, &payers).await;
    grow(&node, &mut payers, blocks, TRANSFERS).await;
    let begun = resident_mib("self");
    println!("{blocks} blocks of {TRANSFERS} transfers to read; {begun} MiB resident");
    let (mut quiet, mut held, mut most) = (Vec::new(), Vec::new(), 0);
    for turn in 1..=TURNS {
        quiet.extend(grow(&node, &mut payers, blocks, TRANSFERS).await);
        let before = resident_mib("self");
        let crowd = Crowd::start("holders", "19", node.rpc_address(), subscribers, 0);
        let begin = Instant::now();
        let mut most_now = 0;
        let mut made = 0;
        // At least beyond the cut, with as many blocks.
        while made < blocks || begin.elapsed() < Duration::from_secs(35) {
            held.extend(grow(&node, &mut payers, 10, TRANSFERS).await);
            made += 10;
            most_now = most_now.max(resident_mib("self"));
        }
        most = most.max(most_now.saturating_sub(before));
        println!("turn {turn}: {before} MiB resident before, {most_now} MiB at most with {subscribers} subscribers");
        drop(crowd);
    }
    quiet.sort();
    held.sort();
    for (name, times) in [("without", &quiet), ("with", &held)] {
        let [half, most] = [50, 99].map(|percent| percentile(times, percent));
        println!(
            "{name:<8} subscribers: a block is accepted in p50 {half:.2} ms, p99 {most:.2} ms ({} blocks)",
            times.len()
        );
    }
    let ratio = |percent| percentile(&held, percent) / percentile(&quiet, percent);
    println!("ratio with : without of p50 {:.2}, of p99 {:.2}; {most} MiB more at most", ratio(50), ratio(99));
    stop(node).await;
}

/// The subscribers: they ask for all blocks, let windows be as wide as can be, and never take a byte from their sockets.
/// One that is cut comes again at once.
pub(crate) async fn hold(node: SocketAddr, subscribers: usize) {
    let mut holders = JoinSet::new();
    for first in (0..subscribers).step_by(PER_CONNECTION) {
        let streams = PER_CONNECTION.min(subscribers - first);
        let mut socket = open(node, streams).await;
        holders.spawn(async move {
            loop {
                sleep(LOOK).await;
                // What is written to a connection that was reset fails.
                if socket.write_all(&frame(PING, 0, 0, &[7; 8])).await.is_err() {
                    socket = open(node, streams).await;
                }
            }
        });
    }
    println!("ready");
    // Until the other side has gone.
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await.unwrap().unwrap();
}

async fn open(node: SocketAddr, streams: usize) -> TcpStream {
    // The own machine is exempt from how many connections a network may have.
    let mut socket = loop {
        match dial_from([127, 0, 0, 1], node).await {
            Ok(socket) => break socket,
            Err(_) => sleep(LOOK).await,
        }
    };
    let initial_window = [&[0, 4][..], &WIDE.to_be_bytes()].concat();
    let mut bytes = [PREFACE, &frame(SETTINGS, 0, 0, &initial_window)].concat();
    bytes.extend(frame(WINDOW_UPDATE, 0, 0, &(WIDE - 65_535).to_be_bytes()));
    // An uncompressed message of two bytes: field 2, `from_height`, is 0.
    let request = [0, 0, 0, 0, 2, 0x10, 0];
    for number in 0..u32::try_from(streams).unwrap() {
        bytes.extend(frame(HEADERS, END_HEADERS, 2 * number + 1, &call_headers(METHOD)));
        bytes.extend(frame(DATA, END_STREAM, 2 * number + 1, &request));
    }
    // If this fails it is found out soon enough.
    let _ = socket.write_all(&bytes).await;
    socket
}
