//! Templates and solved blocks over the wire, and the miner that uses them.

use farthing::{
    Address, Block, Header, Mites, TimeMs,
    codec::Canonical as _,
    wire::v1::{mining_service_client::MiningServiceClient, mining_service_server::MiningService as _},
};
use futures_util::{FutureExt as _, StreamExt as _, stream::BoxStream};
use tonic::Request;
use v1::{BlockVerdict, get_block_template_response::Event, submit_block_request::Block as Form};

use super::*;
use crate::{
    config::RemoteMining,
    miner::Searchers,
    remote_miner,
    rpc::mining::MiningApi,
    testing::{ALICE, BOB, solve},
};

type Frames = tonic::Streaming<v1::GetBlockTemplateResponse>;

fn to_bob() -> v1::GetBlockTemplateRequest {
    let text = dev().prefix.format(&BOB.address());
    let miner = Some(v1::get_block_template_request::Miner::AddressText(text));
    v1::GetBlockTemplateRequest { miner, tag: b"mark".to_vec().into() }
}

impl Api {
    async fn mining(&self) -> MiningServiceClient<Channel> {
        MiningServiceClient::new(self.channel().await)
    }

    async fn templates(&self) -> Frames {
        self.mining().await.get_block_template(to_bob()).await.unwrap().into_inner()
    }

    async fn submit_block(&self, block: Form) -> Result<v1::SubmitBlockResponse, Status> {
        let request = v1::SubmitBlockRequest { block: Some(block) };
        Ok(self.mining().await.submit_block(request).await?.into_inner())
    }
}

async fn next(frames: &mut Frames) -> v1::BlockTemplate {
    loop {
        let frame = tokio::time::timeout(PATIENCE, frames.message()).await.expect("a frame in time").unwrap().unwrap();
        match frame.event.unwrap() {
            Event::Template(template) => return template,
            Event::Progress(_) => {}
            Event::Draining(_) => panic!("it drains"),
        }
    }
}

fn header_of(template: &v1::BlockTemplate) -> Header {
    Header::from_canonical(&template.header_bytes).unwrap()
}

/// The template with a header, solved unless `solved` is false.
fn with(template: &v1::BlockTemplate, mut header: Header, solved: bool) -> Form {
    while header.has_work() != solved {
        header.nonce += 1;
    }
    Form::Solved(v1::SolvedTemplate {
        template_id: template.template_id.clone(),
        header_bytes: header.to_bytes().to_vec().into(),
    })
}

fn solved(template: &v1::BlockTemplate) -> Form {
    with(template, header_of(template), true)
}

#[tokio::test]
async fn a_solved_template_is_the_new_tip_and_the_next_template_stands_on_it() {
    let api = Api::start().await;
    let pay = ALICE.pay(0, BOB.address(), 5);
    let form = v1::submit_transaction_request::Form::Transaction((&pay).into());
    api.client().await.submit_transaction(v1::SubmitTransactionRequest { form: Some(form) }).await.unwrap();

    let mut frames = api.templates().await;
    let template = next(&mut frames).await;
    let header = header_of(&template);
    assert_eq!((header.nonce, header.bits.to_compact()), (0, template.bits));
    assert_eq!(template.target.len(), 32);
    assert_eq!(template.target, header.bits.target().unwrap().value().to_be_bytes::<32>().to_vec());
    assert_eq!((template.height, template.transaction_count), (1, 1));
    assert_eq!(template.previous_block_id_hex, dev().genesis_id().to_string());
    assert_eq!(template.fees_mites, pay.transaction().fee().get());
    assert_eq!(template.reward_mites, dev().subsidy(Height::new(1)).get() + template.fees_mites);

    // A later time is the miner's to choose.
    let later = Header { time: TimeMs::new(template.min_time_ms + 7), ..header };
    let form = with(&template, later, true);
    let answer = api.submit_block(form.clone()).await.unwrap();
    assert_eq!((answer.verdict(), answer.message.as_str()), (BlockVerdict::Accepted, ""));
    let tip = api.test.chain.view().tip;
    assert_eq!((tip.height(), tip.id().to_string()), (Height::new(1), answer.block_id_hex.clone()));
    let block = api.test.chain.block(tip.id()).await.unwrap().unwrap();
    assert_eq!((block.coinbase.to, block.coinbase.tag.as_slice()), (BOB.address(), &b"mark"[..]));
    assert_eq!(block.transactions, [pay]);

    let again = api.submit_block(form).await.unwrap();
    assert_eq!((again.verdict(), again.block_id_hex), (BlockVerdict::Duplicate, answer.block_id_hex));
    let second = next(&mut frames).await;
    assert_eq!((second.height, second.previous_block_id_hex), (2, tip.id().to_string()));
    assert_eq!((second.transaction_count, second.fees_mites), (0, 0));
    // Whoever was slower finds a block beside the chain.
    let slower = api.submit_block(with(&template, header, true)).await.unwrap();
    assert_eq!(slower.verdict(), BlockVerdict::SideBranch);
}

#[tokio::test]
async fn a_new_tip_and_better_fees_bring_new_templates() {
    let api = Api::start().await;
    let mut frames = api.templates().await;
    assert_eq!(next(&mut frames).await.transaction_count, 0);
    let id = api.grow(1, 1).await[0];
    assert_eq!(next(&mut frames).await.previous_block_id_hex, id.to_string());
    let form = v1::submit_transaction_request::Form::Transaction((&ALICE.pay(0, BOB.address(), 5)).into());
    api.client().await.submit_transaction(v1::SubmitTransactionRequest { form: Some(form) }).await.unwrap();
    // Before the first sign of life, that is within 10 s; without better fees it would be 30 s.
    let frame = tokio::time::timeout(PATIENCE, frames.message()).await.expect("a frame in time").unwrap().unwrap();
    let Some(Event::Template(better)) = frame.event else { panic!("{frame:?}") };
    assert_eq!((better.height, better.transaction_count), (2, 1));
}

#[tokio::test]
async fn what_is_not_right_is_judged_by_name() {
    let api = Api::start().await;
    let mut frames = api.templates().await;
    let template = next(&mut frames).await;
    let unsolved = api.submit_block(with(&template, header_of(&template), false)).await.unwrap();
    assert_eq!((unsolved.verdict(), unsolved.rule.as_str()), (BlockVerdict::Invalid, "R-HDR-03"));

    let mut other = template.clone();
    other.template_id = vec![7; 32].into();
    let stale = api.submit_block(solved(&other)).await.unwrap();
    assert_eq!((stale.verdict(), stale.block_id.len()), (BlockVerdict::Stale, 0));
    assert!(!stale.message.is_empty());

    let altered = Header { tx_root: farthing::Hash::ZERO, ..header_of(&template) };
    let error = api.submit_block(with(&template, altered, true)).await.unwrap_err();
    assert_eq!(
        (facts(&error).1.as_str(), &facts(&error).2["field"]),
        ("INVALID_FIELD", &"solved.header_bytes".to_owned())
    );
    let early = Header { time: TimeMs::new(template.min_time_ms - 1), ..header_of(&template) };
    let answer = api.submit_block(with(&template, early, true)).await.unwrap();
    assert_eq!((answer.verdict(), answer.rule.as_str()), (BlockVerdict::Invalid, "R-TIM-01"));
    let now = api.test.now();
    let future = Header { time: now.saturating_add(61_000), ..header_of(&template) };
    let answer = api.submit_block(with(&template, future, true)).await.unwrap();
    assert_eq!((answer.verdict(), answer.rule.as_str()), (BlockVerdict::Unacceptable, ""));
    assert_eq!(api.test.chain.view().tip.height(), Height::GENESIS);

    // Two minutes later it is forgotten.
    api.test.clock.advance(Duration::from_secs(120));
    assert_eq!(api.submit_block(solved(&template)).await.unwrap().verdict(), BlockVerdict::Stale);
}

#[tokio::test]
async fn whole_blocks_are_taken_and_judged_by_their_rules() {
    let api = Api::start().await;
    let good = mine(&dev(), &api.test.chain.view(), vec![ALICE.pay(0, BOB.address(), 5)], 3);
    let mut greedy = Block { coinbase: good.coinbase.clone(), ..good.clone() };
    greedy.coinbase.amount = greedy.coinbase.amount.checked_add(Mites::new(1)).unwrap();
    greedy.header.tx_root = greedy.tx_root();
    let bytes = |block: &Block| Form::BlockBytes(block.to_canonical().into());
    let answer = api.submit_block(bytes(&solve(greedy))).await.unwrap();
    assert_eq!(answer.verdict(), BlockVerdict::Invalid);
    assert!(answer.rule.starts_with("R-") && !answer.message.is_empty(), "{answer:?}");
    let answer = api.submit_block(bytes(&good)).await.unwrap();
    assert_eq!((answer.verdict(), answer.block_id_hex), (BlockVerdict::Accepted, good.id().to_string()));

    let error = api.submit_block(Form::BlockBytes(vec![1, 2, 3].into())).await.unwrap_err();
    assert_eq!((facts(&error).1.as_str(), &facts(&error).2["field"]), ("INVALID_FIELD", &"block_bytes".to_owned()));
    let max = dev().max_block_bytes as usize;
    let error = api.submit_block(Form::BlockBytes(vec![0; max + 1].into())).await.unwrap_err();
    assert_eq!(error.message(), format!("block_bytes: expected 1 to {max} bytes, got {}", max + 1));
    let error = api.mining().await.submit_block(v1::SubmitBlockRequest { block: None }).await.unwrap_err();
    assert_eq!(facts(&error).1, "MISSING_FIELD");
}

#[tokio::test]
async fn whoever_is_to_be_paid_must_be_named_and_a_node_that_syncs_gives_no_templates() {
    let api = Api::start().await;
    let mut client = api.mining().await;
    let nobody = v1::GetBlockTemplateRequest { miner: None, ..to_bob() };
    assert_eq!(facts(&client.get_block_template(nobody).await.unwrap_err()).1, "MISSING_FIELD");
    let foreign = farthing::Network::Main.params().prefix.format(&Address::ZERO);
    let miner = Some(v1::get_block_template_request::Miner::AddressText(foreign));
    let foreign = v1::GetBlockTemplateRequest { miner, ..to_bob() };
    assert_eq!(facts(&client.get_block_template(foreign).await.unwrap_err()).1, "WRONG_ADDRESS_PREFIX");
    let long = v1::GetBlockTemplateRequest { tag: vec![0; 65].into(), ..to_bob() };
    let error = client.get_block_template(long).await.unwrap_err();
    assert_eq!(error.message(), "tag: expected 0 to 64 bytes, got 65");
    api.network.0.send_replace(true);
    let (code, reason, _) = facts(&client.get_block_template(to_bob()).await.unwrap_err());
    assert_eq!((code, reason.as_str()), (Code::Unavailable, "SYNCING"));
}

#[tokio::test]
async fn a_stopping_node_tells_its_miners_that_it_drains_and_then_that_it_is_unavailable() {
    let api = Api::start().await;
    let mut frames = api.templates().await;
    next(&mut frames).await;
    api.test.tasks.stop();
    let frame = tokio::time::timeout(PATIENCE, frames.message()).await.unwrap().unwrap().unwrap();
    assert!(matches!(frame.event, Some(Event::Draining(_))), "{frame:?}");
    let error = tokio::time::timeout(PATIENCE, frames.message()).await.unwrap().unwrap_err();
    assert_eq!((facts(&error).0, facts(&error).1.as_str()), (Code::Unavailable, "STOPPING"));
}

/// HTTP/2 does not poll an answer whose client has no room.
#[tokio::test]
async fn miners_that_do_not_read_keep_the_templates_from_nobody() {
    let api = Api::start().await;
    let service = MiningApi::new(api.deps.clone());
    let open = async || service.get_block_template(Request::new(to_bob())).await.unwrap().into_inner();
    let mut deaf = Vec::new();
    for _ in 0..4 {
        let mut frames = open().await;
        frames.next().await.unwrap().unwrap();
        deaf.push(frames);
    }
    api.grow(1, 1).await;
    for frames in &mut deaf {
        // The next one is begun, and then nobody polls any more.
        assert!(frames.next().now_or_never().is_none());
    }
    let mut frames = open().await;
    let frame = tokio::time::timeout(PATIENCE, frames.next()).await.expect("there is a place").unwrap().unwrap();
    let Some(Event::Template(template)) = frame.event else { panic!("{frame:?}") };
    assert_eq!(template.height, 2);
}

#[allow(clippy::disallowed_methods, reason = "the clock of the test is not the one that templates are made by")]
async fn skip_to_template(frames: &mut BoxStream<'static, Result<v1::GetBlockTemplateResponse, Status>>) {
    let start = std::time::Instant::now();
    while !matches!(frames.next().await.unwrap().unwrap().event, Some(Event::Template(_))) {
        assert!(start.elapsed() < PATIENCE, "there is one by the clock on the wall");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_templates_shows_that_it_lives_also_while_there_can_be_none() {
    let api = Api::start().await;
    let service = MiningApi::new(api.deps.clone());
    let mut frames = service.get_block_template(Request::new(to_bob())).await.unwrap().into_inner();
    // The clock of this test runs on while one is made.
    skip_to_template(&mut frames).await;
    api.test.chain.set_waiting(true);
    for _ in 0..10 {
        let before = tokio::time::Instant::now();
        let frame = frames.next().await.unwrap().unwrap();
        assert!(matches!(frame.event, Some(Event::Progress(_))), "{frame:?}");
        assert!(before.elapsed() <= Duration::from_secs(15));
    }
    api.test.chain.set_waiting(false);
    skip_to_template(&mut frames).await;
}

#[tokio::test]
async fn a_miner_that_takes_nothing_is_let_go_and_told_so_when_it_reads_again() {
    let stall = Duration::from_millis(300);
    let api = Api::start_with(|settings| settings.subscriber_stall = stall).await;
    let mut client = MiningServiceClient::new(api.narrow_channel(64).await);
    let watchers = api.test.chain.watchers();
    let mut frames = client.get_block_template(to_bob()).await.unwrap().into_inner();
    assert!(api.test.chain.watchers() > watchers);
    let let_go = async {
        while api.test.chain.watchers() > watchers {
            tokio::time::sleep(stall / 10).await;
        }
    };
    tokio::time::timeout(PATIENCE, let_go).await.expect("it is let go");
    let status = loop {
        match tokio::time::timeout(PATIENCE, frames.message()).await.unwrap() {
            Ok(frame) => drop(frame.expect("it does not end with OK")),
            Err(status) => break status,
        }
    };
    let (code, reason, metadata) = facts(&status);
    assert_eq!((code, reason.as_str()), (Code::ResourceExhausted, "SUBSCRIBER_STALLED"));
    assert_eq!(metadata.get("cursor"), None, "there is none to go on with");
}

#[tokio::test]
async fn no_block_is_taken_while_the_chain_is_to_begin_with_a_checkpoint() {
    let api = Api::start().await;
    let block = mine(&dev(), &api.test.chain.view(), Vec::new(), 3);
    let form = Form::BlockBytes(block.to_canonical().into());
    api.test.chain.set_waiting(true);
    let (code, reason, _) = facts(&api.submit_block(form.clone()).await.unwrap_err());
    assert_eq!((code, reason.as_str()), (Code::Unavailable, "SYNCING"));
    api.test.chain.set_waiting(false);
    assert_eq!(api.submit_block(form).await.unwrap().verdict(), BlockVerdict::Accepted, "it was not kept either");
}

#[tokio::test]
async fn the_work_of_a_block_is_looked_at_before_the_rest_of_it() {
    let api = Api::start().await;
    let mut header = mine(&dev(), &api.test.chain.view(), Vec::new(), 3).header;
    while header.has_work() {
        header.nonce += 1;
    }
    let with_rubbish = |header: &Header| Form::BlockBytes([&header.to_bytes()[..], &[0xff; 40]].concat().into());
    let answer = api.submit_block(with_rubbish(&header)).await.unwrap();
    assert_eq!((answer.verdict(), answer.rule.as_str()), (BlockVerdict::Invalid, "R-HDR-03"));
    assert_eq!(answer.block_id_hex, header.id().to_string());
    // A target that is met by nearly anything is no work either.
    let easy = Header { bits: farthing::Bits::from_compact(0x2100_ffff), ..header };
    let answer = api.submit_block(with_rubbish(&easy)).await.unwrap();
    assert_eq!((answer.verdict(), answer.rule.as_str()), (BlockVerdict::Invalid, "R-DIF-05"));
    while !header.has_work() {
        header.nonce += 1;
    }
    let error = api.submit_block(with_rubbish(&header)).await.unwrap_err();
    assert_eq!(facts(&error).2["field"], "block_bytes");
}

fn mining_on(api: &Api, address: &str) -> RemoteMining {
    RemoteMining {
        node: api.address.to_string().parse().unwrap(),
        address: address.to_owned(),
        threads: std::num::NonZeroUsize::MIN,
    }
}

#[tokio::test]
async fn a_remote_miner_mines_on_what_others_mine_and_ends_when_the_node_will_never_serve_it() {
    let api = Api::start().await;
    let env = &api.deps.env;
    let searchers = Searchers::start(&api.test.tasks, env.clone(), std::num::NonZeroUsize::MIN).unwrap();
    let mining = mining_on(&api, &dev().prefix.format(&BOB.address()));
    let grows = async {
        // Its blocks come every 2 s in the mean.
        api.test.height_reaches(2).await;
    };
    tokio::select! {
        status = remote_miner::mine(env, &searchers, &mining) => panic!("{status:?}"),
        () = grows => {}
    }
    let view = api.test.chain.view();
    let tip = api.test.chain.block(view.tip.id()).await.unwrap().unwrap();
    assert_eq!(tip.coinbase.to, BOB.address());

    let foreign = mining_on(&api, &farthing::Network::Main.params().prefix.format(&BOB.address()));
    let refused = remote_miner::mine(env, &searchers, &foreign);
    let status = tokio::time::timeout(PATIENCE, refused).await.expect("it gives up");
    assert_eq!(facts(&status).1, "WRONG_ADDRESS_PREFIX");
}
