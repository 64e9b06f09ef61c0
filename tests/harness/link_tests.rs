//! The link by itself, in tokio's paused time: what it is said to take it takes, to the millisecond.

use std::{num::NonZeroU64, sync::Arc, time::Duration};

use farthing_node::env::Io;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, duplex},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::link::{Carried, Link, MAX_LOSSES, Quality, READ, SEGMENT, Way};

/// The ends of a connection over a link, and what breaks it.
struct Ends {
    link: Link,
    near: Carried,
    far: DuplexStream,
    cut: CancellationToken,
}

fn over(there: Quality, back: Quality) -> Ends {
    over_by_chance(there, back, 1)
}

fn over_by_chance(there: Quality, back: Quality, seed: u64) -> Ends {
    let link = Link { there: Arc::new(Way::new(there, seed)), back: Arc::new(Way::new(back, seed + 1)) };
    let (ours, far) = duplex(64);
    let cut = CancellationToken::new();
    let near = link.carry(ours, cut.clone());
    Ends { link, near, far, cut }
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn late(delay: Duration) -> Quality {
    Quality { delay, ..Quality::default() }
}

fn narrow(bytes_per_second: u64) -> Quality {
    Quality { bytes_per_second: NonZeroU64::new(bytes_per_second), ..Quality::default() }
}

/// How long it takes until so many bytes have come.
async fn arrival(from: &mut (impl AsyncRead + Unpin), bytes: usize) -> Duration {
    let start = Instant::now();
    from.read_exact(&mut vec![0; bytes]).await.expect("it comes");
    start.elapsed()
}

/// Writes in the background, and gives how much was taken and whether all was.
fn send(mut to: impl AsyncWrite + Send + Unpin + 'static, bytes: usize) -> JoinHandle<std::io::Result<()>> {
    tokio::spawn(async move { to.write_all(&vec![7; bytes]).await })
}

fn about(found: Duration, expected: Duration) {
    // Tokio's timers are of a millisecond.
    assert!(found >= expected && found <= expected + ms(3), "{found:?} instead of {expected:?}");
}

#[tokio::test(start_paused = true)]
async fn a_good_link_carries_both_ways_at_once_and_the_end_after_the_last_byte() {
    let mut ends = over(Quality::default(), Quality::default());
    ends.near.write_all(b"there").await.expect("it is open");
    ends.far.write_all(b"back").await.expect("it is open");
    let mut read = [0; 5];
    ends.far.read_exact(&mut read).await.expect("it comes");
    assert_eq!(&read, b"there");
    ends.near.read_exact(&mut read[..4]).await.expect("it comes");
    assert_eq!(&read[..4], b"back");
    ends.near.write_all(b"last").await.expect("it is open");
    ends.near.shutdown().await.expect("it is open");
    let mut rest = Vec::new();
    ends.far.read_to_end(&mut rest).await.expect("it ends");
    assert_eq!(rest, b"last");
    drop(ends.far);
    assert_eq!(ends.near.read(&mut read).await.expect("it ends"), 0);
}

#[tokio::test(start_paused = true)]
async fn each_way_has_its_own_delay_and_to_open_a_connection_takes_both() {
    let mut ends = over(late(ms(30)), late(ms(100)));
    ends.near.write_all(b"there").await.expect("it is open");
    about(arrival(&mut ends.far, 5).await, ms(30));
    ends.far.write_all(b"back").await.expect("it is open");
    about(arrival(&mut ends.near, 4).await, ms(100));
    let start = Instant::now();
    ends.link.open().await;
    about(start.elapsed(), ms(130));
}

#[tokio::test(start_paused = true)]
async fn jitter_spreads_what_comes_and_overtakes_nothing() {
    let quality = Quality { jitter: ms(40), ..late(ms(10)) };
    let mut found = Vec::new();
    for seed in 0..50 {
        let mut ends = over_by_chance(quality, quality, seed);
        let numbers: Vec<u8> = (0..=255).collect();
        let mut read = vec![0; 256];
        let start = Instant::now();
        ends.near.write_all(&numbers).await.expect("it is open");
        ends.far.read_exact(&mut read).await.expect("it comes");
        assert_eq!(read, numbers);
        found.push(start.elapsed());
    }
    found.sort_unstable();
    assert!(found[0] >= ms(10) && found[49] <= ms(51), "{found:?}");
    assert!(found[49] - found[0] > ms(25), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn a_narrow_link_carries_so_many_bytes_a_second_each_way_and_all_connections_share_it() {
    for back in [false, true] {
        let (narrow, good) = (narrow(10_000), Quality::default());
        let Ends { near, far, .. } = if back { over(good, narrow) } else { over(narrow, good) };
        let (near, far): (Box<dyn Io>, Box<dyn Io>) = (Box::new(near), Box::new(far));
        let (from, mut to) = if back { (far, near) } else { (near, far) };
        let _sending = send(from, 30_000);
        about(arrival(&mut to, 30_000).await, ms(3_000));
    }
    let mut one = over(narrow(10_000), Quality::default());
    let (ours, mut other) = duplex(64);
    let _second = send(one.link.carry(ours, CancellationToken::new()), 10_000);
    let _first = send(one.near, 10_000);
    let start = Instant::now();
    tokio::join!(arrival(&mut one.far, 10_000), arrival(&mut other, 10_000));
    about(start.elapsed(), ms(2_000));
}

#[tokio::test(start_paused = true)]
async fn whoever_sends_more_than_the_window_waits() {
    let quality = Quality { window: 16 * 1024, ..late(ms(1_000)) };
    let mut ends = over(quality, Quality::default());
    // What is read at once and what the end holds itself come on top.
    let most = 16 * 1024 + 2 * READ;
    let sent = tokio::spawn(async move {
        let mut count = 0;
        while let Ok(Ok(())) = timeout(ms(500), ends.near.write_all(&[0; 1_024])).await {
            count += 1_024;
        }
        (count, ends.near)
    });
    let (count, _near) = sent.await.expect("it does not panic");
    assert!((16 * 1024..=most).contains(&count), "{count} bytes were taken before any arrived");
    arrival(&mut ends.far, count).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_segment_comes_a_retransmission_later_and_what_follows_waits_for_it() {
    let quality = Quality { loss: 0.5, ..late(ms(50)) };
    let mut waited = Vec::new();
    for seed in 0..400 {
        let way = Way::new(quality, seed);
        let due = way.send(10).expect("nothing breaks") - Instant::now();
        waited.push(due);
    }
    let count = |expected: Duration| waited.iter().filter(|found| **found == expected).count();
    // 50 ms, then 200 ms and a round trip of 100 ms more, then 600 ms more, each half as often.
    let found = [ms(50), ms(350), ms(950)].map(count);
    let half = |of: usize, count: usize| count * 2 > of * 3 / 4 && count * 2 < of * 5 / 4;
    assert!(half(400, found[0]) && half(200, found[1]) && half(100, found[2]), "{found:?}");

    let mut ends = over(Quality { loss: 1.0, ..Quality::default() }, Quality::default());
    let lost = tokio::spawn(async move {
        ends.near.write_all(b"lost").await.expect("it is open");
        ends.near
    });
    let mut near = lost.await.expect("it does not panic");
    tokio::time::sleep(ms(1)).await;
    ends.link.there.set(Quality::default());
    near.write_all(b"good").await.expect("it is open");
    let mut read = [0; 8];
    let start = Instant::now();
    ends.far.read_exact(&mut read).await.expect("it comes");
    assert_eq!(&read, b"lostgood");
    // 200 ms, doubled each of fifteen times.
    about(start.elapsed() + ms(1), ms(200 * ((1 << MAX_LOSSES) - 1)));
}

#[tokio::test(start_paused = true)]
async fn a_connection_breaks_as_often_as_is_said_and_both_ends_learn_it() {
    let quality = Quality { breaks: 0.01, ..Quality::default() };
    let way = Way::new(quality, 3);
    let broke = (0..10_000).filter(|_| way.send(SEGMENT).is_none()).count() as u64;
    assert!((60..=140).contains(&broke), "{broke} of 10,000");
    let tally = way.tally();
    assert_eq!((tally.sent, tally.lost, tally.broke), (10_000, 0, broke));

    let mut ends = over(Quality { breaks: 1.0, ..Quality::default() }, Quality::default());
    ends.near.write_all(b"never").await.expect("it is open still");
    let error = ends.near.read(&mut [0]).await.expect_err("the connection is broken");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(ends.far.read(&mut [0]).await.expect("it ends"), 0);
    assert!(ends.cut.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_held_way_is_silent_the_other_is_not_and_all_comes_once_it_is_released() {
    let mut ends = over(Quality::default(), Quality::default());
    ends.link.there.hold(true);
    ends.near.write_all(b"held").await.expect("nobody tells the sender");
    ends.far.write_all(b"free").await.expect("it is open");
    about(arrival(&mut ends.near, 4).await, ms(0));
    timeout(Duration::from_secs(3_600), ends.far.read(&mut [0])).await.expect_err("it is held");
    timeout(Duration::from_secs(3_600), ends.link.open()).await.expect_err("nobody can connect");
    ends.link.there.hold(false);
    about(arrival(&mut ends.far, 4).await, ms(0));
    ends.link.open().await;
}

#[tokio::test(start_paused = true)]
async fn neither_the_end_of_a_connection_nor_its_loss_is_noticed_while_the_way_is_held() {
    let Ends { link, near, mut far, cut } = over(Quality::default(), Quality::default());
    link.there.hold(true);
    drop(near);
    timeout(Duration::from_secs(3_600), far.read(&mut [0])).await.expect_err("the end is held");
    link.there.hold(false);
    assert_eq!(far.read(&mut [0]).await.expect("it ends"), 0);
    drop((far, cut));

    let Ends { link, mut near, far, cut } = over(Quality::default(), Quality::default());
    link.back.hold(true);
    drop(far);
    near.write_all(b"to nobody").await.expect("nobody tells the sender");
    timeout(Duration::from_secs(3_600), near.read(&mut [0])).await.expect_err("the reset is held");
    assert!(!cut.is_cancelled());
    link.back.hold(false);
    // Its end or its reset, whichever comes first.
    assert!(matches!(near.read(&mut [0]).await, Ok(0) | Err(_)));
}

#[tokio::test(start_paused = true)]
async fn a_cut_breaks_a_connection_whatever_waits_on_it() {
    let mut ends = over(late(ms(1_000)), Quality::default());
    let cut = ends.cut.clone();
    let reading = tokio::spawn(async move { ends.near.read(&mut [0]).await });
    tokio::time::sleep(ms(10)).await;
    cut.cancel();
    let error = reading.await.expect("it does not panic").expect_err("the connection is broken");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(ends.far.read(&mut [0]).await.expect("it ends"), 0);
}
