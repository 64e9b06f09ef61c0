//! The client library against real nodes.

use std::{collections::BTreeMap, sync::Arc};

use farthing::{Account, Height, Mites, Network, TxId, wire::TransactionStanding};
use farthing_client::{
    AccountEvent, BlockEvent, BlockRef, Client, Cursor, EntryView, Error, MempoolEvent, MempoolExit, MempoolWatch,
    NodeUrl, Start, WatchStart, WatchedStatus, verify::HistoryWalk,
};

use crate::harness::{
    PATIENCE, eventually,
    keys::{ALICE, BOB, CAROL, FEE},
    networks,
    process::{Options, Place, Running},
};

fn client(params: &Arc<farthing::Params>, nodes: &[&Running<'_>]) -> Client {
    let urls = nodes.iter().map(|node| node.url().parse::<NodeUrl>().expect("a node's URL"));
    Client::builder(Arc::clone(params)).nodes(urls).build().expect("there is a node")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_works_on_a_real_node_and_its_answers_are_proven() {
    let params = networks::quick();
    let place = Place::new("the node", &params);
    let node = place.start(&Options { mine: Some(CAROL.address()), ..Options::default() }).await;
    let client = client(&params, &[&node]);
    assert_eq!(client.node_info().await.expect("an answer").network, "quick");
    let protocol = client.limits().await.expect("an answer").protocol.expect("limits of the network");
    assert_eq!(protocol.max_block_bytes, params.max_block_bytes);

    let transfer = ALICE.pay(&params, 0, BOB.address(), 5);
    let id = transfer.transaction().id(params.genesis_id());
    for _ in 0..2 {
        assert_eq!(client.submit(&transfer).await.expect("a good transfer").id, id, "the same again is the same");
    }
    let block = eventually("the transfer is mined", async || {
        match client.transaction(&id).await.expect("an answer").status.standing {
            TransactionStanding::Mined { block_id, .. } => Ok(block_id),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let block = client.block(BlockRef::Id(block)).await.expect("an answer");
    assert!(block.transactions().any(|(found, _)| *found == id));
    let height = client.block(BlockRef::Height(block.height())).await.expect("an answer");
    assert_eq!(height.id(), block.id());

    let used = client.submit(&ALICE.pay(&params, 0, BOB.address(), 6)).await.expect_err("the nonce is used");
    assert!(used.is_refused_for("NONCE_TOO_LOW"), "{used:?}");
    assert_eq!(used.refusal().and_then(|refusal| refusal.number("expected_nonce")), Some(1));
    let batch = [transfer.clone(), ALICE.pay(&params, 0, BOB.address(), 7)];
    let verdicts = client.submit_all(&batch).await.expect("an answer");
    assert!(verdicts[0].is_ok(), "{verdicts:?}");
    assert_eq!(verdicts[1].as_ref().map_err(|refusal| refusal.reason.as_str()), Err("NONCE_TOO_LOW"));

    let alice = client.account(&ALICE.address()).await.expect("an answer");
    assert_eq!(alice.state().next_nonce, 1);
    let proven = alice.proven.expect("answers are proven unless told otherwise");
    let page = client.account_entries_to_prove(&ALICE.address(), 0, None).await.expect("an answer");
    let mut walk = HistoryWalk::new(&params, &proven);
    let entry = page.entries.into_iter().next().expect("one transfer");
    walk.step(entry, farthing::Hash::ZERO).expect("a proven entry");
    walk.finish().expect("a history that adds up");
    assert_eq!(client.account_entries(&ALICE.address(), 5, None).await.expect("an answer").entries.len(), 1);

    eventually("there are several pages", async || {
        match client.node_info().await.expect("an answer").tip.height.get() {
            10.. => Ok(()),
            height => Err(height.to_string()),
        }
    })
    .await;
    let newest = client.list_blocks(3, None).await.expect("an answer");
    let older = client.list_blocks(3, newest.next.as_ref()).await.expect("an answer");
    let parent = newest.entries.last().map(|block| block.block.header.previous);
    assert_eq!(older.entries.first().map(farthing_client::ChainBlock::id), parent);
    let headers = client.list_headers(3, newest.next.as_ref()).await.expect("an answer");
    assert_eq!(headers.entries.first().map(|header| header.id), parent);
    assert_eq!(client.mempool(0, None).await.expect("an answer").total_transactions, 0);
    let missing = client.block(BlockRef::Height(Height::new(u64::MAX))).await.expect_err("no such block");
    assert!(missing.is_not_found(), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_and_a_transfer_are_watched_over_kills_and_changes_of_node() {
    let params = networks::quick();
    let places = [Place::new("the miner", &params), Place::new("the other", &params)];
    let mut miner = places[0].start(&Options { mine: Some(CAROL.address()), ..Options::default() }).await;
    let other = places[1].start(&Options { connect: vec![miner.p2p], ..Options::default() }).await;
    let both = client(&params, &[&miner, &other]);
    let mut rewards = both.watch_account(&CAROL.address(), WatchStart::Cursor(Cursor::before_genesis()));
    let transfer = ALICE.pay(&params, 0, BOB.address(), 5);
    let id = transfer.transaction().id(params.genesis_id());
    let mut watch = both.watch_transaction(&id, 6, WatchStart::Tip);
    let first = watch.next().await.expect("it is told").expect("of one that nobody knows");
    assert_eq!(first.status, WatchedStatus::Awaited);
    both.submit(&transfer).await.expect("a good transfer");

    // What the account holds by the frames alone.
    let (mut entries, mut account) = (Vec::new(), None);
    for round in 1..=2_usize {
        while entries.len() < round * 8 {
            let frame = rewards.next().await.expect("a stream never ends");
            account = Some(frame.event.state().state());
            match frame.event {
                AccountEvent::Apply { entries: more, .. } => entries.extend(more),
                AccountEvent::Undo { state, .. } => {
                    entries.retain(|entry: &EntryView| entry.number <= state.state().entries);
                }
                AccountEvent::State(_) => panic!("it began before the first block"),
            }
        }
        // The miner comes back at another address: the readers have only the other node left.
        miner.kill();
        let again = Options { mine: Some(CAROL.address()), connect: vec![other.p2p], ..Options::default() };
        miner = places[0].start(&again).await;
    }
    let account: Account = account.expect("frames came");
    assert_eq!(entries.len() as u64, account.entries);
    let mut held = Account::default();
    for entry in &entries {
        held.link(entry.id, entry.height);
        assert_eq!(entry.number, held.entries);
    }
    assert_eq!(held.history, account.history);

    let mut last = first.status;
    while let Some(frame) = watch.next().await.expect("it is told") {
        assert_ne!(frame.status, last, "nothing is told twice");
        last = frame.status;
    }
    assert_eq!(last.confirmations(), 6, "{last:?}");
    let shown = both.chain_proof(farthing_consensus::verify_chain_proof).await.expect("a proof that holds");
    assert_eq!((shown.proven.tip.height(), shown.proven.tip.total_work()), (shown.tip.height, shown.tip.total_work));
    let price = both.estimate_fee(&[BOB.address()]).await.expect("an answer");
    assert!(price.fast.rate_mites_per_byte >= both.fees().await.expect("an answer").floor_mites_per_byte);
}

/// What a reader of a mempool knows by its frames alone.
#[derive(Default)]
struct Seen {
    /// What is in it, and whether the next block may include it.
    held: BTreeMap<TxId, bool>,
    left: Vec<(TxId, MempoolExit)>,
    resets: usize,
    is_whole: bool,
}

impl Seen {
    /// Reads on until it is as it should be.
    async fn read(&mut self, watch: &mut MempoolWatch, what: &str, is_it: impl Fn(&Self) -> bool) {
        while !is_it(self) {
            let frame = tokio::time::timeout(PATIENCE, watch.next()).await;
            let frame = frame.unwrap_or_else(|_| panic!("{what}: {:?}, left: {:?}", self.held, self.left));
            match frame.expect("a stream never ends").event {
                MempoolEvent::Reset => *self = Self { resets: self.resets + 1, ..Self::default() },
                MempoolEvent::Present => self.is_whole = true,
                MempoolEvent::Added(added) => {
                    assert!(self.held.insert(added.id, added.is_executable).is_none(), "{} is told twice", added.id);
                }
                MempoolEvent::Changed { id, is_executable } => {
                    assert_eq!(self.held.insert(id, is_executable), Some(!is_executable), "{id} has not changed");
                }
                MempoolEvent::Removed { id, why } => {
                    assert!(self.held.remove(&id).is_some(), "{id} leaves and was not there");
                    self.left.push((id, why));
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mempool_is_watched_through_gaps_replacements_blocks_and_a_change_of_node() {
    let params = networks::quick();
    let places = [Place::new("the node", &params), Place::new("the other", &params)];
    let node = places[0].start(&Options::default()).await;
    let other = places[1].start(&Options::default()).await;
    let client_of = |nodes: &[&Running<'_>]| client(&params, nodes);
    let (both, here, there) = (client_of(&[&node, &other]), client_of(&[&node]), client_of(&[&other]));
    let pay = |nonce, fee: u64| ALICE.pay_with_fee(&params, nonce, BOB.address(), 5, Mites::new(fee));
    let fee = FEE.get();
    let id = |nonce, fee| pay(nonce, fee).transaction().id(params.genesis_id());
    let (mut watch, mut seen) = (both.watch_mempool(&[], None), Seen::default());
    let (mut bobs, mut carols) =
        (here.watch_mempool(&[BOB.address()], None), here.watch_mempool(&[CAROL.address()], None));
    let (mut seen_by_bob, mut seen_by_carol) = (Seen::default(), Seen::default());
    seen.read(&mut watch, "an empty pool is told", |seen| seen.is_whole).await;
    assert_eq!((seen.held.len(), seen.resets), (0, 1));

    here.submit(&pay(0, fee)).await.expect("a good transfer");
    here.submit(&pay(2, fee)).await.expect("one that waits for an earlier one");
    let [first, second, third] = [0, 1, 2].map(|nonce| id(nonce, fee));
    let gap = BTreeMap::from([(first, true), (third, false)]);
    seen.read(&mut watch, "a gap", |seen| seen.held == gap).await;
    here.submit(&pay(1, fee)).await.expect("it fills the gap");
    let filled = BTreeMap::from([(first, true), (second, true), (third, true)]);
    seen.read(&mut watch, "the gap is filled", |seen| seen.held == filled).await;
    assert_eq!(seen.left, []);

    let dearer = id(2, 2 * fee);
    here.submit(&pay(2, 2 * fee)).await.expect("it pays for the place");
    let replaced = BTreeMap::from([(first, true), (second, true), (dearer, true)]);
    seen.read(&mut watch, "a replacement", |seen| seen.held == replaced).await;
    let by = MempoolExit::Dropped { reason: "REPLACED".to_owned(), replaced_by: Some(dearer) };
    assert_eq!(seen.left, [(third, by)]);
    // A reader that comes now is told what is there.
    seen_by_bob.read(&mut bobs, "a late reader", |seen| seen.is_whole).await;
    assert_eq!((&seen_by_bob.held, seen_by_bob.left.len()), (&seen.held, 0));

    let to_carol = ALICE.pay(&params, 3, CAROL.address(), 1);
    let hers = here.submit(&to_carol).await.expect("a good transfer").id;
    seen_by_carol.read(&mut carols, "what concerns carol", |seen| seen.held.contains_key(&hers)).await;
    assert_eq!(seen_by_carol.held.len(), 1);
    let (code, _, err) = places[0].ask(&["mine", "1", "--to", &params.prefix.format(&CAROL.address())]);
    assert_eq!(code, 0, "{err}");
    let tip = here.node_info().await.expect("an answer").tip;
    for (watch, seen) in [(&mut watch, &mut seen), (&mut bobs, &mut seen_by_bob), (&mut carols, &mut seen_by_carol)] {
        seen.left.clear();
        seen.read(watch, "all is mined", |seen| seen.held.is_empty() && !seen.left.is_empty()).await;
        for (id, why) in &seen.left {
            assert!(matches!(why, MempoolExit::Mined(block) if block.block_id == tip.block_id), "{id}: {why:?}");
        }
    }
    assert!(seen.left.iter().any(|(id, _)| *id == hers) && seen_by_bob.left.iter().all(|(id, _)| *id != hers));

    // The other node has a mempool of its own.
    let elsewhere = there.submit(&pay(0, fee)).await.expect("nothing is mined there").id;
    node.kill();
    seen.read(&mut watch, "the other's pool", |seen| seen.resets == 2 && seen.is_whole).await;
    assert_eq!(seen.held, BTreeMap::from([(elsewhere, true)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_node_of_another_network_is_refused_by_name() {
    let place = Place::new("the node", &networks::quick());
    let node = place.start(&Options::default()).await;
    let client = client(&Arc::new(Network::Dev.params().clone()), &[&node]);
    let error = client.account(&ALICE.address()).await.expect_err("another network");
    assert!(matches!(&error, Error::WrongNetwork { found, .. } if found == "quick"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_survives_kills_restarts_and_changes_of_node_without_gap_or_repeat() {
    let params = networks::quick();
    let places = [Place::new("the miner", &params), Place::new("the other", &params)];
    let mut miner = places[0].start(&Options { mine: Some(CAROL.address()), ..Options::default() }).await;
    let other = places[1].start(&Options { connect: vec![miner.p2p], ..Options::default() }).await;
    let mut blocks = client(&params, &[&miner, &other]).follow(Start::Height(Height::GENESIS));
    let mut chain = Vec::new();
    let mut cursor: Option<Cursor> = None;
    for round in 1..=3_u64 {
        while (chain.len() as u64) < round * 15 {
            let frame = blocks.next().await.expect("a stream never ends");
            match frame.event {
                BlockEvent::Apply(block) => {
                    let last = chain.last().copied();
                    assert!(last.is_none_or(|last| last == block.block.header.previous), "a gap at {}", block.height());
                    chain.push(block.id());
                }
                BlockEvent::Undo { id, .. } => assert_eq!(chain.pop(), Some(id)),
            }
            cursor = Some(frame.cursor);
        }
        if round == 2 {
            // The reader starts anew, from what it stored.
            let stored = cursor.clone().expect("frames came");
            blocks = client(&params, &[&miner, &other]).follow(Start::Cursor(stored));
        }
        // The miner comes back at another address: the reader has only the other node left.
        miner.kill();
        let again = Options { mine: Some(CAROL.address()), connect: vec![other.p2p], ..Options::default() };
        miner = places[0].start(&again).await;
    }
    let info = client(&params, &[&other]).node_info().await.expect("an answer");
    assert!(info.tip.height.get() >= 30, "{info:?}");
    for (height, id) in chain.iter().enumerate().take(30) {
        let held = client(&params, &[&miner]).block(BlockRef::Height(Height::new(height as u64))).await;
        assert_eq!(held.expect("an answer").id(), *id);
    }
}
