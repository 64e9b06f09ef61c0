//! Who calls the node honestly all the while: a client of the public API, and a peer with a session.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use farthing::{
    Address, Mites, Output,
    codec::Canonical as _,
    wire::{
        peer::{self as wire, peer_service_client::PeerServiceClient},
        v1::{self, ledger_service_client::LedgerServiceClient},
    },
};
use prost::bytes::Bytes;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tonic::transport::{Channel, Endpoint};

use crate::{
    attacker::hello,
    ledger::{Payer, alice, params},
    victim::Victim,
};

pub(crate) const KINDS: [&str; 4] = ["GetNodeInfo", "GetAccount", "SubmitTransaction", "peer GetHeaders"];
/// A call is made this often, of one kind after the other.
const EVERY: Duration = Duration::from_millis(4);
/// A call that takes longer has failed.
const DEADLINE: Duration = Duration::from_secs(5);

/// How long calls took; none of those that failed.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<(&'static str, Option<Duration>)>);

impl Samples {
    pub(crate) fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    pub(crate) fn of(&self, kind: &str) -> Self {
        Self(self.0.iter().filter(|(of, _)| *of == kind).copied().collect())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn failed(&self) -> usize {
        self.0.iter().filter(|(_, took)| took.is_none()).count()
    }

    /// In milliseconds; a failed call counts as one that took as long as it may.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let mut all: Vec<Duration> = self.0.iter().map(|(_, took)| took.unwrap_or(DEADLINE)).collect();
        all.sort_unstable();
        let at = (all.len() * percent).div_ceil(100).saturating_sub(1);
        all.get(at).map_or(f64::NAN, |took| took.as_secs_f64() * 1_000.0)
    }
}

pub(crate) struct Honest {
    api: LedgerServiceClient<Channel>,
    peer: PeerServiceClient<Channel>,
    session_id: Bytes,
    payer: Payer,
    /// Signed and not accepted yet: it comes again, for the nonces behind it build on it.
    unaccepted: Option<Bytes>,
}

async fn dial(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

/// Whether somebody who comes now is served within a second.
pub(crate) async fn newcomer(rpc: SocketAddr) -> bool {
    let served = async {
        let channel = Endpoint::from_shared(format!("http://{rpc}")).unwrap().connect().await.ok()?;
        LedgerServiceClient::new(channel).get_node_info(v1::GetNodeInfoRequest {}).await.ok()
    };
    timeout(Duration::from_secs(1), served).await.is_ok_and(|served| served.is_some())
}

impl Honest {
    pub(crate) async fn meet(victim: &Victim) -> Self {
        let mut peer = PeerServiceClient::new(dial(victim.p2p).await);
        let request = wire::HandshakeRequest { hello: Some(hello(7)), probe: false };
        let session_id = peer.handshake(request).await.unwrap().into_inner().session_id;
        let follow = wire::FollowRequest { session_id: session_id.clone() };
        let mut events = peer.follow(follow).await.unwrap().into_inner();
        // It reads what it is told; it announces nothing, so nothing is wanted of it.
        tokio::spawn(async move { while let Ok(Some(_)) = events.message().await {} });
        Self {
            api: LedgerServiceClient::new(dial(victim.rpc).await),
            peer,
            session_id,
            payer: alice(),
            unaccepted: None,
        }
    }

    /// Calls at a steady pace for so long.
    pub(crate) async fn call_for(&mut self, time: Duration) -> Samples {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (end, mut samples) = (Instant::now() + time, Samples::default());
        for kind in KINDS.into_iter().cycle() {
            ticks.tick().await;
            if Instant::now() >= end {
                break;
            }
            // Signed beforehand: that is not the node's work.
            let transfer =
                (kind == "SubmitTransaction").then(|| self.unaccepted.take().unwrap_or_else(|| self.transfer()));
            let begin = Instant::now();
            let called = timeout(DEADLINE, self.call(kind, transfer.clone())).await;
            self.unaccepted = transfer.filter(|_| !matches!(called, Ok(Ok(())))).or(self.unaccepted.take());
            let took = called.is_ok_and(|called| called.is_ok()).then(|| begin.elapsed());
            samples.0.push((kind, took));
        }
        samples
    }

    fn transfer(&mut self) -> Bytes {
        let output = Output { to: params().allocations[1].address, amount: Mites::new(1) };
        self.payer.pay(vec![output], Mites::new(100_000), Vec::new()).to_canonical().into()
    }

    async fn call(&mut self, kind: &str, transfer: Option<Bytes>) -> Result<(), tonic::Status> {
        match (kind, transfer) {
            ("GetNodeInfo", _) => self.api.get_node_info(v1::GetNodeInfoRequest {}).await.map(drop),
            ("GetAccount", _) => {
                let address: Address = params().allocations[0].address;
                let id = Some(v1::get_account_request::Id::Address(address.as_bytes().to_vec().into()));
                self.api.get_account(v1::GetAccountRequest { id, with_proof: true }).await.map(drop)
            }
            (_, Some(transfer)) => {
                let form = Some(v1::submit_transaction_request::Form::TransactionBytes(transfer));
                self.api.submit_transaction(v1::SubmitTransactionRequest { form }).await.map(drop)
            }
            _ => {
                let genesis = Bytes::copy_from_slice(params().genesis_id().as_bytes());
                let locator = Some(wire::Locator { block_ids: vec![genesis] });
                let session_id = self.session_id.clone();
                self.peer.get_headers(wire::GetHeadersRequest { session_id, locator, max_headers: 100 }).await.map(drop)
            }
        }
    }
}
