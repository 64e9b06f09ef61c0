//! Below gRPC: connections that say nothing, bytes that mean nothing, streams that are reset as fast as they are opened.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};

use super::hostile::Hostile;
use crate::harness::PATIENCE;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// The headers of a call, each a literal that is not indexed (RFC 7541, 6.2.2).
fn call_headers(method: &str) -> Vec<u8> {
    let path = format!("/farthing.peer.v1.PeerService/{method}");
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", &path),
        (":authority", "node"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).expect("a short text"));
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// Writes piece after piece until the victim has closed the connection, which it must do.
async fn until_closed(me: &Hostile, pieces: impl Iterator<Item = Vec<u8>>) {
    let socket = TcpStream::connect(me.victim).await.expect("the victim listens");
    let (mut read, mut write) = socket.into_split();
    let reading = async {
        let mut answer = vec![0; 64 * 1024];
        // A reset says the same as an end.
        while read.read(&mut answer).await.is_ok_and(|count| count > 0) {}
    };
    let writing = async {
        for piece in pieces {
            if write.write_all(&piece).await.is_err() {
                break;
            }
        }
        // Kept open: it is the victim who is to close it.
        std::future::pending::<()>().await;
    };
    let closed = async {
        tokio::select! {
            () = reading => {}
            () = writing => {}
        }
    };
    timeout(PATIENCE, closed).await.expect("the victim closes what is no good");
}

fn opened() -> impl Iterator<Item = Vec<u8>> {
    [PREFACE.to_vec(), frame(SETTINGS, 0, 0, &[])].into_iter()
}

pub(super) async fn silent_and_slow(me: &Hostile) {
    for _ in 0..40 {
        // A victim without a free place closes at once.
        if let Ok(socket) = TcpStream::connect(me.victim).await {
            me.keep(socket);
        }
    }
    let slow = TcpStream::connect(me.victim).await.expect("the victim listens");
    let trickle = async move {
        let mut slow = slow;
        for byte in PREFACE.iter().cycle() {
            slow.write_all(std::slice::from_ref(byte)).await?;
            sleep(Duration::from_millis(250)).await;
        }
        Ok::<_, io::Error>(())
    };
    me.keep(tokio_util::task::AbortOnDropHandle::new(tokio::spawn(trickle)));
}

/// Connections that begin to speak and end, one after the other.
pub(super) async fn connections_without_end(me: &Hostile) {
    for _ in 0..500 {
        let mut socket = TcpStream::connect(me.victim).await.expect("the victim listens");
        for piece in opened() {
            // One without a place is closed.
            let _ = socket.write_all(&piece).await;
        }
    }
}

pub(super) async fn resets_without_end(me: &Hostile) {
    let headers = call_headers("Handshake");
    let flood = (0..50_000).map(|turn| {
        let stream = 2 * turn + 1;
        [frame(HEADERS, END_HEADERS, stream, &headers), frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
    });
    until_closed(me, opened().chain(flood)).await;
}

pub(super) async fn bytes_that_mean_nothing(me: &Hostile) {
    let noise = |seed: u64| {
        let mut state = seed | 1;
        let next = move || {
            // xorshift64: any bytes will do, as long as each run has the same.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        std::iter::repeat_with(next).take(512).flatten().collect::<Vec<u8>>()
    };
    for seed in 0..8 {
        until_closed(me, std::iter::once(noise(seed))).await;
        until_closed(me, opened().chain(std::iter::once(noise(seed)))).await;
    }
    // A frame that claims more than the victim said it takes.
    until_closed(me, opened().chain([vec![0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 1]])).await;
}

/// Calls whose protobuf, or whose framing, cannot be read: the calls fail, one by one.
pub(super) async fn messages_that_mean_nothing(me: &Hostile) {
    let mut socket = TcpStream::connect(me.victim).await.expect("the victim listens");
    let mut bytes: Vec<u8> = opened().flatten().collect();
    let methods = ["Handshake", "Follow", "Announce", "Deliver", "GetHeaders", "GetBlocks", "ExchangePeers", "Nothing"];
    // Truncated, nested without end, of another wire type, and with gRPC's mark of compression.
    let messages: [&[u8]; 4] =
        [&[0, 0, 0, 0, 2, 0x0a, 0xff], &[0, 0, 0, 0, 3, 0x0a, 0x0b, 0x0b], &[0, 0, 0, 0, 1, 0x0f], &[1, 0, 0, 0, 0]];
    let calls = methods.iter().flat_map(|method| messages.iter().map(move |message| (method, message)));
    for (stream, (method, message)) in (1..).step_by(2).zip(calls) {
        bytes.extend(frame(HEADERS, END_HEADERS, stream, &call_headers(method)));
        bytes.extend(frame(DATA, END_STREAM, stream, message));
    }
    socket.write_all(&bytes).await.expect("the victim reads");
    let mut answer = [0; 1024];
    let answered = timeout(PATIENCE, socket.read(&mut answer)).await.expect("it answers or closes");
    assert!(answered.is_ok(), "{answered:?}");
    me.keep(socket);
}
