//! Clients that speak HTTP/2 only as far as it hurts, over raw sockets.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{
    Rate,
    tests::{PATIENCE, ask, closed, start, turned_away},
};

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(super) const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
pub(super) const END_HEADERS: u8 = 4;

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

pub(super) const REQUEST: [(&str, &str); 6] = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/grpc.health.v1.Health/Check"),
    (":authority", "node"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
];

/// Headers, each a literal that is not indexed (RFC 7541, 6.2.2).
pub(super) fn request_headers(fields: &[(&str, &str)]) -> Vec<u8> {
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

/// The next frame: its kind and payload; none when the server has closed.
async fn next_frame(socket: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut header = [0; 9];
    socket.read_exact(&mut header).await.ok()?;
    let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
    let mut payload = vec![0; length as usize];
    socket.read_exact(&mut payload).await.ok()?;
    Some((header[3], payload))
}

/// Writes what is made for turn after turn until the server has had enough, and gives the reason of its GOAWAY.
async fn flood(mut socket: TcpStream, limit: u32, attack: impl Fn(u32) -> Vec<u8>) -> String {
    socket.write_all(PREFACE).await.unwrap();
    socket.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    let (mut read, mut write) = socket.into_split();
    let mut answer = Vec::new();
    let reading = async {
        // Ends when the server closes; a reset says the same.
        let _ = read.read_to_end(&mut answer).await;
    };
    let writing = async {
        for turn in 0..limit {
            if write.write_all(&attack(turn)).await.is_err() {
                break;
            }
        }
    };
    let both = async { tokio::join!(reading, writing) };
    timeout(PATIENCE, both).await.expect("the server took it all and did not close");
    let mut rest = &answer[..];
    while let [a, b, c, kind, _flags, _, _, _, _, after @ ..] = rest {
        let (payload, next) = after.split_at(u32::from_be_bytes([0, *a, *b, *c]) as usize);
        if *kind == GOAWAY {
            return String::from_utf8_lossy(&payload[8..]).into_owned();
        }
        rest = next;
    }
    panic!("closed without a GOAWAY after {} bytes", answer.len())
}

#[tokio::test]
async fn the_limits_are_announced_to_the_client() {
    let server = start(|_| ()).await;
    let mut socket = server.socket().await;
    socket.write_all(PREFACE).await.unwrap();
    socket.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    let (kind, payload) = next_frame(&mut socket).await.unwrap();
    assert_eq!(kind, SETTINGS);
    let setting = |id: u16| {
        let found = payload.chunks(6).find(|entry| entry[..2] == id.to_be_bytes())?;
        Some(u32::from_be_bytes(found[2..].try_into().unwrap()))
    };
    assert_eq!(setting(3), Some(256), "concurrent streams");
    assert_eq!(setting(4), Some(256 * 1024), "window of a stream");
    assert_eq!(setting(5).unwrap_or(16 * 1024), 16 * 1024, "largest frame");
    assert_eq!(setting(6), Some(8192), "header list");
}

#[tokio::test]
async fn a_rapid_reset_is_cut_off_and_others_are_served() {
    let server = start(|_| ()).await;
    let mut honest = server.client().await;
    let headers = request_headers(&REQUEST);
    let reason = flood(server.socket().await, 50_000, |turn| {
        let stream = 2 * turn + 1;
        [frame(HEADERS, END_HEADERS, stream, &headers), frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
    })
    .await;
    assert_eq!(reason, "too_many_resets");
    honest.check(ask("")).await.unwrap();
}

#[tokio::test]
async fn a_flood_of_broken_streams_is_cut_off() {
    let server = start(|_| ()).await;
    // A request without a method is a stream error, which the server answers with a reset of its own.
    let headers = request_headers(&REQUEST[1..]);
    let attack = |turn| frame(HEADERS, END_HEADERS, 2 * turn + 1, &headers);
    let reason = flood(server.socket().await, 50_000, attack).await;
    assert_eq!(reason, "too_many_internal_resets");
    server.client().await.check(ask("")).await.unwrap();
}

#[tokio::test]
async fn endless_headers_are_cut_off() {
    let server = start(|_| ()).await;
    let mut literal = vec![0, 1, b'x', 100];
    literal.extend_from_slice(&[b'y'; 100]);
    let block = literal.repeat(100);
    let attack = |turn| frame(if turn == 0 { HEADERS } else { CONTINUATION }, 0, 1, &block);
    let reason = flood(server.socket().await, 50_000, attack).await;
    assert_eq!(reason, "too_many_continuations");
    server.client().await.check(ask("")).await.unwrap();
}

#[tokio::test]
async fn what_is_not_http2_is_refused() {
    let server = start(|_| ()).await;
    let mut socket = server.socket().await;
    socket.write_all(b"GET / HTTP/1.1\r\nhost: node\r\n\r\n").await.unwrap();
    // The server may say GOAWAY first.
    while let Ok(Some((kind, _))) = timeout(PATIENCE, next_frame(&mut socket)).await {
        assert!(kind == SETTINGS || kind == GOAWAY, "frame {kind}");
    }
    closed(&mut socket).await;
}

#[tokio::test]
async fn a_client_that_resets_what_was_taken_up_is_cut_off_and_its_network_stays_away_for_a_while() {
    let server = start(|settings| settings.first_bytes = PATIENCE * 10).await;
    let resetting = async {
        let mut socket = server.socket_from([127, 0, 9, 1]).await.unwrap();
        socket.write_all(PREFACE).await.unwrap();
        socket.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        let headers = request_headers(&REQUEST);
        for turn in 0.. {
            let (stream, ping) = (2 * turn + 1, frame(PING, 0, 0, &[7; 8]));
            let reset = frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
            let call = [frame(HEADERS, END_HEADERS, stream, &headers), reset, ping].concat();
            // The reason may be lost when the server closes while more comes.
            if socket.write_all(&call).await.is_err() {
                return None;
            }
            // The server has read on: it never sees more than one stream that it has not taken up.
            loop {
                match next_frame(&mut socket).await {
                    Some((PING, _)) => break,
                    Some((GOAWAY, payload)) => return Some(String::from_utf8_lossy(&payload[8..]).into_owned()),
                    Some(_) => {}
                    None => return None,
                }
            }
        }
        None
    };
    let reason = timeout(PATIENCE, resetting).await.expect("the server took it all and did not close");
    assert!(reason.is_none_or(|reason| reason == "too_many_resets_in_time"));
    turned_away(server.socket_from([127, 0, 9, 2]).await).await;
    assert!(is_answered(server.socket_from([127, 0, 10, 1]).await).await, "others are served");
}

/// Whether a connection that begins to speak is.
async fn is_answered(socket: std::io::Result<TcpStream>) -> bool {
    let Ok(mut socket) = socket else { return false };
    let opening = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    socket.write_all(&opening).await.is_ok() && next_frame(&mut socket).await.is_some()
}

#[tokio::test]
async fn a_network_that_connects_again_and_again_is_turned_away_and_others_are_served() {
    let rate = Rate { per_second: 1, burst: 3 };
    let server = start(|settings| {
        settings.new_connections.per_network = rate;
        settings.connections.per_prefix = settings.connections.total;
    })
    .await;
    let mut taken = 0;
    // Those that are taken are answered; they end at once and hold no slot.
    for host in (1..=250).cycle().take(1_000) {
        if !is_answered(server.socket_from([127, 0, 9, host]).await).await {
            break;
        }
        taken += 1;
    }
    assert!(taken >= rate.burst && taken < 1_000, "{taken} were taken");
    assert!(is_answered(server.socket_from([127, 0, 10, 1]).await).await, "others are served");
}

#[tokio::test]
async fn silent_sockets_from_one_network_leave_room_for_others() {
    let server = start(|_| ()).await;
    let mut silent = Vec::new();
    for host in 1..=200 {
        silent.push(server.socket_from([127, 0, 9, host]).await);
    }
    server.client().await.check(ask("")).await.unwrap();
    turned_away(silent.pop().unwrap()).await;
}
