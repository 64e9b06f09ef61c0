//! The service on the socket of a whole node.

use std::{io, sync::Arc};

use farthing::wire::admin::{self as wire, admin_service_client::AdminServiceClient};
use hyper_util::rt::TokioIo;
use prost::Message as _;
use tempfile::TempDir;
use tonic::{
    Code, Response, Status,
    transport::{Channel, Endpoint},
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};
use tonic_types::StatusExt as _;

use super::*;
use crate::{
    config::{Config, MiningConfig},
    node::Node,
    testing::ALICE,
};

struct Fixture {
    node: Node,
    channel: Channel,
    folder: TempDir,
}

impl Fixture {
    async fn start(network: farthing::Network, change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let params = Arc::new(network.params().clone());
        let mut config = Config::on_loopback(params, folder.path().join("data"));
        change(&mut config);
        let env = Env::system().unwrap();
        let node = Node::start(config, env.clone()).await.unwrap();
        let mut io = Some(env.net().dial_local(node.admin_socket().unwrap()).await.unwrap().into_io());
        let connector = tower::service_fn(move |_: http::Uri| {
            std::future::ready(io.take().map(TokioIo::new).ok_or_else(|| io::Error::other("once")))
        });
        let channel = Endpoint::from_static("http://admin").connect_with_connector(connector).await.unwrap();
        Self { node, channel, folder }
    }

    async fn dev() -> Self {
        Self::start(farthing::Network::Dev, |_| {}).await
    }

    fn client(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel.clone())
    }

    async fn stop(self) {
        drop(self.channel);
        self.node.tasks().stop();
        self.node.wait().await.unwrap();
    }
}

fn refusal<T: std::fmt::Debug>(answer: Result<Response<T>, Status>) -> (Code, String) {
    let status = answer.unwrap_err();
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.domain, "farthing");
    (status.code(), info.reason)
}

#[test]
fn every_method_has_a_policy() {
    assert_eq!(methods().missing(ADMIN_DESCRIPTORS).unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn reflection_lists_the_admin_service_and_no_others() {
    let fixture = Fixture::dev().await;
    let list = MessageRequest::ListServices(String::new());
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let mut client = ServerReflectionClient::new(fixture.channel.clone());
    let mut answers = client.server_reflection_info(tokio_stream::iter([request])).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(services) = answer else { panic!("{answer:?}") };
    let names = services.service.iter().map(|service| service.name.as_str());
    let own: Vec<_> = names.filter(|name| !name.starts_with("grpc.reflection.")).collect();
    assert_eq!(own, ["farthing.admin.v1.AdminService"]);
    fixture.stop().await;
}

#[tokio::test]
async fn the_status_says_where_the_node_stands_and_listens() {
    let mine = |config: &mut Config| {
        let one = std::num::NonZeroUsize::MIN;
        let (when, max, wait) = (1_000, None, None);
        config.mining = Some(MiningConfig { address: ALICE.address(), threads: one, when, max, wait });
    };
    let fixture = Fixture::start(farthing::Network::Dev, mine).await;
    let mined = fixture.client().mine_blocks(wire::MineBlocksRequest { count: 3, ..Default::default() }).await;
    let blocks = mined.unwrap().into_inner().blocks;
    let heights: Vec<_> = blocks.iter().map(|block| block.height).collect();
    assert_eq!(heights, [1, 2, 3]);
    fixture.node.network().ban("192.0.2.1", Duration::from_secs(60), "").await.unwrap();
    let status = fixture.client().get_status(wire::GetStatusRequest {}).await.unwrap().into_inner();
    let tip = fixture.node.chain().view().tip;
    assert_eq!((status.tip_height, &status.tip_id_hex), (3, &tip.id().to_string()));
    assert_eq!(status.tip_id_hex, blocks[2].block_id_hex);
    assert_eq!(status.total_work, tip.total_work().to_string());
    assert_eq!((status.best_header_height, status.sync_state()), (3, wire::SyncState::Synced));
    assert_eq!((status.network.as_str(), status.mining, status.bans), ("dev", true, 1));
    assert_eq!((status.inbound_peers, status.outbound_peers, status.mempool_transactions), (0, 0, 0));
    assert_eq!(status.data_dir, fixture.folder.path().join("data").display().to_string());
    assert_eq!(status.admin_socket, fixture.node.admin_socket().unwrap().display().to_string());
    assert_eq!(status.rpc_address, fixture.node.rpc_address().to_string());
    assert_eq!(status.p2p_address, fixture.node.p2p_address().to_string());
    assert_eq!(status.process_id, std::process::id());
    let balance = fixture.node.chain().view().account(&ALICE.address()).unwrap().balance;
    assert_eq!(balance.get(), 100_000_000_000_000 + 3 * 5_000_000_000, "the mined blocks pay the --mine address");
    fixture.stop().await;
}

#[tokio::test]
async fn what_is_refused_is_refused_with_a_stable_reason() {
    let fixture = Fixture::dev().await;
    let mut client = fixture.client();
    let invalid = |reason: &str| (Code::InvalidArgument, reason.to_owned());
    for address in ["", "nowhere", "127.0.0.1:0", &"x".repeat(3_000)] {
        let address = address.to_owned();
        let added = client.add_peer(wire::AddPeerRequest { address: address.clone() }).await;
        assert_eq!(refusal(added), invalid("INVALID_FIELD"), "{address}");
        let removed = client.remove_peer(wire::RemovePeerRequest { address }).await;
        assert_eq!(refusal(removed), invalid("INVALID_FIELD"));
    }
    let removed = client.remove_peer(wire::RemovePeerRequest { address: "127.1.1.1:1".to_owned() }).await;
    assert_eq!(refusal(removed), (Code::NotFound, "PEER_NOT_FOUND".to_owned()));
    let ban = |target: &str, duration_seconds| {
        let (target, reason) = (target.to_owned(), String::new());
        wire::BanPeerRequest { target, duration_seconds, reason }
    };
    for (target, seconds) in [("nobody", 60), ("127.0.0.1", 60), ("192.0.2.1", 0), ("192.0.2.1", 315_360_001)] {
        assert_eq!(refusal(client.ban_peer(ban(target, seconds)).await), invalid("INVALID_FIELD"), "{target}");
    }
    let unbanned = client.unban_peer(wire::UnbanPeerRequest { target: "192.0.2.1".to_owned() }).await;
    assert_eq!(refusal(unbanned), (Code::NotFound, "NOT_BANNED".to_owned()));
    client.ban_peer(ban("127.1.1.1:1", 60)).await.unwrap();
    let added = client.add_peer(wire::AddPeerRequest { address: "127.1.1.1:1".to_owned() }).await;
    assert_eq!(refusal(added), (Code::FailedPrecondition, "PEER_BANNED".to_owned()));
    let to = farthing::Network::Dev.params().prefix.format(&ALICE.address());
    let foreign = farthing::Network::Main.params().prefix.format(&ALICE.address());
    for (count, to_address, reason) in [
        (0, to.clone(), "INVALID_FIELD"),
        (MAX_BLOCKS + 1, to, "INVALID_FIELD"),
        (1, String::new(), "NO_REWARD_ADDRESS"),
        (1, foreign, "INVALID_ADDRESS"),
    ] {
        let mined = client.mine_blocks(wire::MineBlocksRequest { count, to_address }).await;
        assert_eq!(refusal(mined), invalid(reason));
    }
    assert_eq!(fixture.node.chain().view().tip.height().get(), 0);
    fixture.stop().await;
}

#[tokio::test]
async fn where_difficulty_follows_time_nothing_is_mined_on_request() {
    let fixture = Fixture::start(farthing::Network::Test, |_| {}).await;
    let to_address = farthing::Network::Test.params().prefix.format(&ALICE.address());
    let mined = fixture.client().mine_blocks(wire::MineBlocksRequest { count: 1, to_address }).await;
    assert_eq!(refusal(mined), (Code::FailedPrecondition, "NOT_MINED_ON_REQUEST".to_owned()));
    fixture.stop().await;
}

#[tokio::test]
async fn a_node_that_is_asked_to_stop_answers_and_drains() {
    let Fixture { node, channel, folder } = Fixture::dev().await;
    let socket = node.admin_socket().unwrap().to_owned();
    AdminServiceClient::new(channel).stop_node(wire::StopNodeRequest {}).await.unwrap();
    node.wait().await.unwrap();
    assert!(!Env::system().unwrap().disk().exists(&socket).unwrap(), "a stopped node leaves no socket");
    drop(folder);
}

#[test]
fn as_many_bans_as_there_may_be_fit_one_answer() {
    let longest = wire::Ban {
        target: "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535".to_owned(),
        reason: "\u{10ffff}".repeat(200),
        until_ms: u64::MAX,
    };
    let answer = wire::ListPeersResponse { bans: vec![longest; 4_096], ..Default::default() };
    // Beside them there are at most a few hundred sessions and kept peers of less than 1 KiB each.
    let rest = 500 * 1_024;
    assert!(answer.encoded_len() + rest <= ANSWER, "{}", answer.encoded_len());
}
