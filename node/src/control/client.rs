//! One call to a running node.

use std::{io, path::Path, time::Duration};

use farthing::wire::admin::{self as wire, admin_service_client::AdminServiceClient};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tonic::{
    Response, Status,
    transport::{Channel, Endpoint},
};

use super::{ControlError, Report, report};
use crate::{
    config::Wish,
    env::{Connection, Env, ProcessWatch},
    node::locate,
};

/// How long a node may take to answer what it answers at once.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// How long a node may take to end: it gives itself 5 s, and the last writes take their time on a slow disk.
const ENDS_WITHIN: Duration = Duration::from_secs(60);
/// Largest answer: all bans that there may be.
const LARGEST_ANSWER: usize = 8 * 1024 * 1024;

/// Asks the node on a data directory.
pub(super) async fn ask(env: &Env, data_dir: &Path, wish: &Wish) -> Result<Report, ControlError> {
    let connection = dial(env, data_dir).await?;
    let process = connection.process();
    let client = client(connection, data_dir).await?;
    match wish {
        Wish::Stop => stop(env, client, process).await,
        Wish::Mine { count, to } => {
            let request = wire::MineBlocksRequest { count: *count, to_address: to.clone().unwrap_or_default() };
            let mut client = client;
            // Takes as long as it takes; giving up ends the mining.
            let answer = client.mine_blocks(request).await.map_err(|status| ControlError::from_status(&status))?;
            Ok(report::mined(answer.into_inner()))
        }
        wish => quick(client, wish).await,
    }
}

/// What the node answers at once.
async fn quick(mut client: AdminServiceClient<Channel>, wish: &Wish) -> Result<Report, ControlError> {
    Ok(match wish {
        Wish::ListPeers => report::peers(answer(client.list_peers(wire::ListPeersRequest {})).await?),
        Wish::AddPeer(target) => {
            let address = target.to_string();
            let added = answer(client.add_peer(wire::AddPeerRequest { address: address.clone() })).await?;
            report::added(address, added)
        }
        Wish::RemovePeer(target) => {
            let address = target.to_string();
            let removed = answer(client.remove_peer(wire::RemovePeerRequest { address: address.clone() })).await?;
            report::removed(address, removed)
        }
        Wish::BanPeer { target, length, reason } => {
            let duration_seconds = length.as_secs();
            let request = wire::BanPeerRequest { target: target.clone(), duration_seconds, reason: reason.clone() };
            report::banned(answer(client.ban_peer(request)).await?)
        }
        Wish::UnbanPeer { target } => {
            answer(client.unban_peer(wire::UnbanPeerRequest { target: target.clone() })).await?;
            report::unbanned(target.clone())
        }
        Wish::Status | Wish::Mine { .. } | Wish::Stop => {
            report::status(answer(client.get_status(wire::GetStatusRequest {})).await?)
        }
    })
}

/// Asks the node to stop, and waits for the end of its process.
async fn stop(
    env: &Env,
    mut client: AdminServiceClient<Channel>,
    process: Option<u32>,
) -> Result<Report, ControlError> {
    // Before it is asked, or the number could be another process's by then.
    let watch = process.map(|process| (process, ProcessWatch::new(process)));
    answer(client.stop_node(wire::StopNodeRequest {})).await?;
    // Nothing is asked on this connection any more, and the waiting has a thread of its own, which leaves this one to close
    // it: the node must not have to wait for an end that cannot answer.
    drop(client);
    match watch {
        Some((process, Ok(watch))) => match env.compute().run_blocking(move || watch.wait(ENDS_WITHIN)).await {
            Ok(true) => Ok(report::stopped(Some(process), true)),
            Ok(false) => Err(ControlError::StillRunning { process, after: ENDS_WITHIN }),
            Err(_) => Ok(report::stopped(Some(process), false)),
        },
        // In another container, or on a system that cannot tell: it was asked, and that is all that is known.
        Some((process, Err(_))) => Ok(report::stopped(Some(process), false)),
        None => Ok(report::stopped(None, false)),
    }
}

async fn dial(env: &Env, data_dir: &Path) -> Result<Connection, ControlError> {
    let no_node =
        || ControlError::NoNode { data_dir: std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.into()) };
    let path =
        locate(&**env.disk(), data_dir).map_err(|source| ControlError::Socket { path: data_dir.into(), source })?;
    // A path that does not fit has a node only if the node said where instead.
    if !crate::env::fits_socket(&path) {
        return Err(no_node());
    }
    env.net().dial_local(&path).await.map_err(|source| match source.kind() {
        // A socket without a node, or none at all.
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory => no_node(),
        _ => ControlError::Socket { path, source },
    })
}

async fn client(connection: Connection, data_dir: &Path) -> Result<AdminServiceClient<Channel>, ControlError> {
    let mut only = Some(TokioIo::new(connection.into_io()));
    let connector = tower::service_fn(move |_: http::Uri| {
        let io = only.take().ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "the connection is lost"));
        std::future::ready(io)
    });
    let endpoint = Endpoint::from_static("http://admin.farthing").http2_max_header_list_size(8192);
    let connecting = timeout(ANSWER_WITHIN, endpoint.connect_with_connector(connector));
    let channel = connecting.await.map_err(|_| ControlError::Late(ANSWER_WITHIN))?;
    let channel = channel.map_err(|source| ControlError::Transport { path: data_dir.into(), source })?;
    Ok(AdminServiceClient::new(channel).max_decoding_message_size(LARGEST_ANSWER))
}

async fn answer<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, ControlError> {
    let answered = timeout(ANSWER_WITHIN, call).await.map_err(|_| ControlError::Late(ANSWER_WITHIN))?;
    answered.map(Response::into_inner).map_err(|status| ControlError::from_status(&status))
}
