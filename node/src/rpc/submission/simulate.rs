//! What would happen to a transfer, told without doing it.

use std::collections::HashMap;

use farthing::{
    Address, Mites, Params,
    wire::{Draft, WireError, v1},
};

use crate::{
    chain::ChainView,
    mempool::{DropReason, Outlook, Simulation},
    rpc::{
        ApiError, Deps, blocks,
        refusals::Credit,
        transactions::{follow_the_tip, refuse_while_syncing, settle, standing},
    },
};

pub(in crate::rpc) async fn simulate(
    deps: &Deps,
    credit: &Credit,
    request: v1::SimulateTransactionRequest,
) -> Result<v1::SimulateTransactionResponse, ApiError> {
    credit.check(deps.env.clock().elapsed())?;
    let draft = Draft::try_from(request)?;
    follow_the_tip(deps).await;
    let simulated = deps.mempool.simulate(draft, credit.charging(&deps.env)).await;
    let simulation = simulated.map_err(|error| WireError::new("transaction", error))?;
    let Simulation { transaction, id, verdict, signature_checked, outlook } = simulation;
    let would_change = verdict.is_ok();
    let verdict = match refuse_while_syncing(deps) {
        Ok(()) => settle(deps, id, verdict).await,
        Err(syncing) => standing(deps, id).await?.ok_or(syncing),
    };
    let verdict = match verdict {
        Ok(status) => v1::simulate_transaction_response::Verdict::Status((&status).into()),
        Err(error) => v1::simulate_transaction_response::Verdict::Error(error.into()),
    };
    let (view, params) = (deps.chain.view(), deps.chain.params());
    let transfer = transaction.transaction();
    let outputs = Outputs { params, view: &view, opening: &outlook.openings, balances: HashMap::new() };
    let displaced = if would_change { &outlook.displaced[..] } else { &[] };
    Ok(v1::SimulateTransactionResponse {
        verdict: Some(verdict),
        transaction_id: id.to_bytes().to_vec().into(),
        transaction_id_hex: id.to_string(),
        signature_checked,
        size_bytes: u32::try_from(transaction.size_bytes()).unwrap_or(u32::MAX),
        fee: Some(fee(transfer.fee(), &outlook)),
        sender: Some(sender(params, transfer.sender_address(), &outlook, would_change)),
        outputs: outputs.of(transfer.outputs()),
        displaced: displaced.iter().map(|(id, why)| displacement(id, *why)).collect(),
        tip: Some((&blocks::tip(&view)).into()),
    })
}

fn fee(paid: Mites, outlook: &Outlook) -> v1::SimulatedFee {
    v1::SimulatedFee {
        fee_mites: paid.get(),
        required_fee_mites: outlook.required.get(),
        floor_mites: outlook.floor.get(),
        burned_mites: outlook.burned.get(),
        opening_output_indexes: outlook.openings.iter().map(|at| u32::try_from(*at).unwrap_or(u32::MAX)).collect(),
    }
}

fn sender(params: &Params, address: Address, outlook: &Outlook, taken: bool) -> v1::SimulatedSender {
    let balance = outlook.account.balance;
    let left = |spent| balance.checked_sub(spent).unwrap_or(Mites::ZERO).get();
    let after = if taken { outlook.after } else { outlook.before };
    v1::SimulatedSender {
        address: address.to_bytes().to_vec().into(),
        address_text: params.prefix.format(&address),
        confirmed_balance_mites: balance.get(),
        balance_before_mites: left(outlook.before.1),
        balance_after_mites: left(after.1),
        next_nonce_before: outlook.before.0,
        next_nonce_after: after.0,
    }
}

fn displacement(id: &farthing::TxId, why: DropReason) -> v1::DisplacedTransaction {
    v1::DisplacedTransaction {
        transaction_id: id.to_bytes().to_vec().into(),
        transaction_id_hex: id.to_string(),
        reason: why.reason().to_owned(),
    }
}

struct Outputs<'a> {
    params: &'a Params,
    view: &'a ChainView,
    opening: &'a [usize],
    /// What was paid so far.
    balances: HashMap<Address, Mites>,
}

impl Outputs<'_> {
    fn of(mut self, outputs: &[farthing::Output]) -> Vec<v1::SimulatedOutput> {
        outputs.iter().enumerate().map(|(at, output)| self.effect(at, output)).collect()
    }

    fn effect(&mut self, at: usize, output: &farthing::Output) -> v1::SimulatedOutput {
        let confirmed = || self.view.account(&output.to).map_or(Mites::ZERO, |account| account.balance);
        let balance = self.balances.entry(output.to).or_insert_with(confirmed);
        let before = *balance;
        *balance = before.checked_add(output.amount).unwrap_or(Mites::MAX);
        v1::SimulatedOutput {
            address: output.to.to_bytes().to_vec().into(),
            address_text: self.params.prefix.format(&output.to),
            amount_mites: output.amount.get(),
            opens_account: self.opening.contains(&at),
            balance_before_mites: before.get(),
            balance_after_mites: balance.get(),
        }
    }
}
