//! Mines for an address against a node, in a hundred lines: what a miner of one's own begins with. `farthing-node miner`
//! is the one to use: it searches on all cores and comes back when the node is away.
//!
//! ```text
//! cargo run --example miner -- --node http://127.0.0.1:50051 --blocks 3 ADDRESS
//! ```
//!
//! Prints a JSON line for each block that it handed in: its id, its height and the node's verdict.

#![allow(clippy::print_stdout, reason = "a program that prints")]

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use clap::Parser;
use farthing::{
    Header,
    codec::Canonical as _,
    wire::v1::{
        BlockTemplate, BlockVerdict, GetBlockTemplateRequest, SolvedTemplate, SubmitBlockRequest,
        get_block_template_request::Miner, get_block_template_response::Event,
        mining_service_client::MiningServiceClient, submit_block_request::Block,
    },
};
use tokio::{sync::mpsc, task, time::sleep};

#[derive(Parser)]
struct Arguments {
    /// The node's API.
    #[arg(long)]
    node: String,
    /// Ends after so many blocks on the best chain.
    #[arg(long, default_value_t = u64::MAX)]
    blocks: u64,
    /// Who is paid.
    address: String,
}

/// How many nonces are tried before it is looked whether there is a newer template.
const TRIED_AT_ONCE: u64 = 100_000;

/// Searches for a nonce, unless a newer template comes first.
fn search(mut header: Header, mine: u64, newest: &AtomicU64) -> Option<Header> {
    while newest.load(Ordering::Relaxed) == mine {
        for _ in 0..TRIED_AT_ONCE {
            if header.has_work() {
                return Some(header);
            }
            header.nonce = header.nonce.wrapping_add(1);
        }
    }
    None
}

async fn work(template: BlockTemplate, mine: u64, newest: Arc<AtomicU64>, solved: mpsc::Sender<(u64, SolvedTemplate)>) {
    let Ok(header) = Header::from_canonical(&template.header_bytes) else { return };
    // Where finding a block is no work, this is what keeps the network's pace.
    sleep(Duration::from_millis(template.hesitate_ms)).await;
    if let Ok(Some(header)) = task::spawn_blocking(move || search(header, mine, &newest)).await {
        let header_bytes = header.to_canonical().into();
        // The receiver is gone once enough were found.
        let _ =
            solved.send((template.height, SolvedTemplate { template_id: template.template_id, header_bytes })).await;
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { node, blocks, address } = Arguments::parse();
    let mut service = MiningServiceClient::connect(node).await?;
    let request =
        GetBlockTemplateRequest { miner: Some(Miner::AddressText(address)), tag: b"example".as_slice().into() };
    let mut templates = service.get_block_template(request).await?.into_inner();
    let newest = Arc::new(AtomicU64::new(0));
    let (send, mut solved) = mpsc::channel(1);
    let mut accepted = 0;
    while accepted < blocks {
        tokio::select! {
            frame = templates.message() => match frame?.ok_or("the node ended the stream")?.event {
                Some(Event::Template(template)) => {
                    // Those before it see that, and give up.
                    let mine = newest.fetch_add(1, Ordering::Relaxed) + 1;
                    task::spawn(work(template, mine, Arc::clone(&newest), send.clone()));
                }
                // It lives; or it drains, and its status says why next.
                Some(Event::Progress(_) | Event::Draining(_)) | None => {}
            },
            Some((height, block)) = solved.recv() => {
                let answer = service.submit_block(SubmitBlockRequest { block: Some(Block::Solved(block)) }).await?;
                let answer = answer.into_inner();
                let verdict = answer.verdict();
                accepted += u64::from(verdict == BlockVerdict::Accepted);
                let line = serde_json::json!({
                    "height": height, "block": answer.block_id_hex, "verdict": verdict.as_str_name(), "message": answer.message,
                });
                println!("{line}");
            }
        }
    }
    Ok(())
}
