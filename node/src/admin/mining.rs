//! Mining on request, where blocks cost next to nothing.

use farthing::{params::Retarget, wire::admin as wire};

use super::{AdminError, Deps};
use crate::miner::{MineError, Reward};

/// Most blocks of a call.
pub const MAX_BLOCKS: u32 = 1_000;

pub(super) async fn mine(
    deps: &Deps,
    request: &wire::MineBlocksRequest,
) -> Result<wire::MineBlocksResponse, AdminError> {
    let params = deps.chain.params();
    // Elsewhere a block is a matter of luck and hours, and one more miner changes the difficulty for all.
    if params.retarget != Retarget::None {
        return Err(AdminError::NotOnRequest { network: params.name.clone() });
    }
    if !(1..=MAX_BLOCKS).contains(&request.count) {
        return Err(AdminError::Count { count: request.count, most: MAX_BLOCKS });
    }
    let to = match request.to_address.as_str() {
        "" => deps.facts.mines_for.ok_or(AdminError::NoReward)?,
        text => params.prefix.parse(text)?,
    };
    let reward = Reward { to, tag: concat!("farthing ", env!("CARGO_PKG_VERSION")).into() };
    let count = usize::try_from(request.count).unwrap_or(usize::MAX);
    let mut blocks = Vec::new();
    for id in deps.miner.mine_blocks(count, reward).await? {
        let header = deps.chain.header(id).await.map_err(|_| MineError::Stopping)?;
        let height = header.map_or(0, |header| header.height().get());
        blocks.push(wire::MinedBlock { height, block_id_hex: id.to_string() });
    }
    Ok(wire::MineBlocksResponse { blocks })
}
