//! How much money there is.

use farthing::{Mites, wire::v1};

use super::{ApiError, Deps, Reason, blocks};

pub(super) fn get(deps: &Deps) -> Result<v1::GetSupplyResponse, ApiError> {
    let (view, params) = (deps.chain.view(), deps.chain.params());
    let (allocated, subsidies) = (params.allocated(), params.subsidies_up_to(view.tip.height()));
    let immature = Mites::checked_sum(view.immature.iter().map(|coinbase| coinbase.amount));
    // What exists is counted with every block that is connected, the rest follows from it.
    let figures = || {
        let immature = immature?;
        let issued = allocated.checked_add(subsidies)?;
        Some((issued.checked_sub(view.supply)?, immature, view.supply.checked_sub(immature)?))
    };
    let Some((burned, immature, circulating)) = figures() else {
        tracing::error!(supply = %view.supply, "the figures of the supply do not fit together");
        return Err(ApiError::new(Reason::Internal, "a fault of the node itself; its log says more"));
    };
    Ok(v1::GetSupplyResponse {
        tip: Some((&blocks::tip(&view)).into()),
        allocated_mites: allocated.get(),
        subsidies_mites: subsidies.get(),
        burned_mites: burned.get(),
        immature_mites: immature.get(),
        circulating_mites: circulating.get(),
        supply_mites: view.supply.get(),
    })
}
