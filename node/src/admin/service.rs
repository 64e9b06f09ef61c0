//! `AdminService`: each method handed to the file that knows how.

use farthing::wire::admin::{self as wire, admin_service_server::AdminService};
use tonic::{Request, Response, Status};

use super::{AdminError, Deps, mining, peers, status};

/// The service.
#[derive(Debug)]
pub(super) struct AdminApi {
    deps: Deps,
}

impl AdminApi {
    pub(super) const fn new(deps: Deps) -> Self {
        Self { deps }
    }

    /// What changes something is refused once the node stops.
    fn deps_if_running(&self) -> Result<&Deps, AdminError> {
        if self.deps.tasks.token().is_cancelled() { Err(AdminError::Stopping) } else { Ok(&self.deps) }
    }
}

#[tonic::async_trait]
impl AdminService for AdminApi {
    async fn list_peers(
        &self,
        _request: Request<wire::ListPeersRequest>,
    ) -> Result<Response<wire::ListPeersResponse>, Status> {
        Ok(Response::new(peers::list(&self.deps)))
    }

    async fn add_peer(
        &self,
        request: Request<wire::AddPeerRequest>,
    ) -> Result<Response<wire::AddPeerResponse>, Status> {
        Ok(Response::new(peers::add(self.deps_if_running()?, &request.into_inner())?))
    }

    async fn remove_peer(
        &self,
        request: Request<wire::RemovePeerRequest>,
    ) -> Result<Response<wire::RemovePeerResponse>, Status> {
        Ok(Response::new(peers::remove(self.deps_if_running()?, &request.into_inner()).await?))
    }

    async fn ban_peer(
        &self,
        request: Request<wire::BanPeerRequest>,
    ) -> Result<Response<wire::BanPeerResponse>, Status> {
        Ok(Response::new(peers::ban(self.deps_if_running()?, &request.into_inner()).await?))
    }

    async fn unban_peer(
        &self,
        request: Request<wire::UnbanPeerRequest>,
    ) -> Result<Response<wire::UnbanPeerResponse>, Status> {
        Ok(Response::new(peers::unban(self.deps_if_running()?, &request.into_inner()).await?))
    }

    async fn get_status(
        &self,
        _request: Request<wire::GetStatusRequest>,
    ) -> Result<Response<wire::GetStatusResponse>, Status> {
        Ok(Response::new(status::get(&self.deps)))
    }

    async fn mine_blocks(
        &self,
        request: Request<wire::MineBlocksRequest>,
    ) -> Result<Response<wire::MineBlocksResponse>, Status> {
        Ok(Response::new(mining::mine(self.deps_if_running()?, &request.into_inner()).await?))
    }

    async fn stop_node(
        &self,
        _request: Request<wire::StopNodeRequest>,
    ) -> Result<Response<wire::StopNodeResponse>, Status> {
        let deps = self.deps_if_running()?;
        tracing::info!("stopping, as the operator asked");
        // This call is one of those that may end while the node drains, so the answer still goes out.
        deps.tasks.stop();
        Ok(Response::new(wire::StopNodeResponse {}))
    }
}
