//! A fresh node takes a whole chain from three peers, of which one stalls and one lies.

mod hostile;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use farthing::{Address, Height, Mites, Output, VerifyingKey};
use farthing_consensus::check_signature;
use farthing_node::{config::Config, env::Env, node::Node};
use rayon::iter::{ParallelBridge as _, ParallelIterator as _};

use self::hostile::{Deed, Hostile};
use crate::{
    ledger::{alice, block, fund, params, payers, take, transfers},
    start, stop,
};

/// How long the machine's limit is measured.
const LIMIT_FOR: Duration = Duration::from_secs(3);
/// How long the node may take in all.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What is seen of the node while it syncs.
#[derive(Default)]
struct Seen {
    liar_banned: Option<Duration>,
    staller_gone: Option<Duration>,
    /// Longest time without a new block, and when it began.
    pause: (Duration, Duration),
}

pub(crate) async fn sync(blocks: usize, transfers: usize) {
    let dir = ledger(blocks, transfers).await;
    let source = start(&dir).await;
    let tip = source.chain().view().tip;
    assert_eq!(tip.height(), height(blocks), "the ledger in {} is another one: remove it", dir.display());
    let (staller, liar) = (Hostile::start(&source, Deed::Stall).await, Hostile::start(&source, Deed::Lie).await);
    let limit = verifications_per_second();

    let fresh_dir = tempfile::tempdir().unwrap();
    let mut config = Config::on_loopback(Arc::new(params().clone()), fresh_dir.path().to_owned());
    let addresses = [staller.address(), liar.address(), source.p2p_address()];
    config.connect = addresses.map(|address| address.to_string().parse().unwrap()).to_vec();
    let began = Instant::now();
    let node = Node::start(config, Env::system().unwrap()).await.unwrap();
    let seen = watch(&node, &staller, tip.height(), began).await;
    let took = began.elapsed().as_secs_f64();
    assert_eq!(node.chain().view().tip.id(), tip.id(), "the node ended on another tip");

    let rate = (blocks * transfers) as f64 / took;
    println!("{blocks} blocks of {transfers} transfers in {took:.1} s: {rate:.0} transfers/s");
    println!(
        "limit of this machine: {limit:.0} RSA-2048 verifications/s on all cores, so {:.0} % of it",
        100.0 * rate / limit
    );
    let after = |asked: Option<Duration>, then: Option<Duration>| match (asked, then) {
        (Some(asked), Some(then)) => {
            format!("{:.2} s after it was first asked for bodies", (then - asked).as_secs_f64())
        }
        (None, _) => "not at all: it was never asked for bodies".to_owned(),
        (_, None) => "not at all".to_owned(),
    };
    let asked = |hostile: &Hostile| hostile.asked().map(|asked| asked - began);
    println!("the liar was banned {}", after(asked(&liar), seen.liar_banned));
    println!(
        "the staller was let go {}; asked {} times",
        after(asked(&staller), seen.staller_gone),
        staller.times_asked()
    );
    println!(
        "longest time without a new block: {:.2} s, from {:.2} s on",
        seen.pause.0.as_secs_f64(),
        seen.pause.1.as_secs_f64()
    );
    for (whom, _, reason) in node.network().bans() {
        println!("ban: {whom}: {reason}");
    }
    stop(node).await;
    stop(source).await;
}

async fn watch(node: &Node, staller: &Hostile, end: Height, began: Instant) -> Seen {
    let mut seen = Seen::default();
    let (mut last, mut staller_met) = ((Height::GENESIS, Duration::ZERO), false);
    while last.0 < end {
        let now = began.elapsed();
        assert!(now < PATIENCE, "the node stands at {}", last.0);
        let height = node.chain().view().tip.height();
        if height > last.0 {
            if now - last.1 > seen.pause.0 {
                seen.pause = (now - last.1, last.1);
            }
            last = (height, now);
        }
        if seen.liar_banned.is_none() && !node.network().bans().is_empty() {
            seen.liar_banned = Some(now);
        }
        let has_staller = node.network().peers().iter().any(|peer| peer.address == staller.address());
        if staller_met && !has_staller {
            seen.staller_gone.get_or_insert(now);
        }
        staller_met |= has_staller;
        tokio::time::sleep(LOOK_EVERY).await;
    }
    seen
}

/// Height of a ledger with so many blocks of transfers: one more funds those who pay.
fn height(blocks: usize) -> Height {
    Height::new(blocks as u64 + 1)
}

/// The data directory of a node with such a chain: to sign it takes long, so it is kept for the next time.
async fn ledger(blocks: usize, transfers_per_block: usize) -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let dir = home.join(format!("ledger-{blocks}-{transfers_per_block}"));
    if dir.exists() {
        return dir;
    }
    let partial = home.join(format!("ledger-{blocks}-{transfers_per_block}.partial"));
    let _ = fs::remove_dir_all(&partial);
    println!("making a ledger of {blocks} blocks of {transfers_per_block} transfers in {} ...", dir.display());
    let node = start(&partial).await;
    let mut payers = payers();
    fund(&node, &payers).await;
    for n in 1..=blocks {
        take(&node, block(&node.chain().view(), transfers(&mut payers, transfers_per_block, 0))).await;
        if n % 100 == 0 {
            println!("{n:7} blocks");
        }
    }
    stop(node).await;
    fs::rename(&partial, &dir).unwrap();
    dir
}

/// Signatures that all cores verify in a second, and nothing else.
fn verifications_per_second() -> f64 {
    let mut alice = alice();
    let output = Output { to: Address::from_bytes([1; 32]), amount: Mites::new(1) };
    let key = VerifyingKey::new(alice.public()).unwrap();
    let signed = alice.pay(vec![output], Mites::new(1), Vec::new());
    let began = Instant::now();
    let rounds = std::iter::repeat(()).take_while(|()| began.elapsed() < LIMIT_FOR).par_bridge();
    let verify_some = |()| {
        for _ in 0..100 {
            check_signature(params(), &signed, &key).unwrap();
        }
        100_u64
    };
    let verified: u64 = rounds.map(verify_some).sum();
    verified as f64 / began.elapsed().as_secs_f64()
}
