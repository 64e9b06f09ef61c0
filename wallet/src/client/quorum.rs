//! Asks all nodes the same and compares what they prove.

use std::time::Duration;

use farthing::Address;
use farthing_client::AccountView;
use futures_util::future::join_all;

use super::{Fails as _, NodeClient};
use crate::{
    error::{Error, Result},
    light::{MAX_BEHIND, Standing},
    verify::{Agreement, Disagreement, Label, Opinion, ProvenAccount, Says},
};

/// How often nodes are asked that do not agree, as they do for a moment when two blocks are mined at a time.
const TRIES: usize = 4;
/// How long they get in between.
const PAUSE: Duration = Duration::from_millis(500);

/// An account as it was proven, what the node says of what waits, and how much that is worth.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What was proven.
    pub proven: ProvenAccount,
    /// What the node says beside it.
    pub view: AccountView,
    /// What transfers in the mempool would bring.
    pub pending_in: Label,
    /// What they would take.
    pub pending_out: Label,
    /// Rewards that are not credited yet.
    pub immature: Label,
}

impl Answer {
    /// What one node says.
    pub(super) const fn alone(proven: ProvenAccount, view: AccountView) -> Self {
        let label = Label::Unverified;
        Self { proven, view, pending_in: label, pending_out: label, immature: label }
    }
}

type Asked = Vec<(String, Result<(ProvenAccount, AccountView)>)>;

impl NodeClient {
    /// An account on which at least `wanted` nodes agree.
    pub(super) fn agreed_account(&self, address: &Address, wanted: usize) -> Result<Answer> {
        let mut attempt = 1;
        loop {
            let asked = self.runtime.block_on(join_all(
                self.nodes
                    .iter()
                    .map(|node| async { (node.url.to_string(), node.look_at(address, &self.light).await) }),
            ));
            let (best, agreement) = judge(&asked, wanted);
            let Some(best) = best.filter(|_| agreement.is_enough()) else {
                let others = agreement.nodes.iter().any(|node| matches!(node.says, Says::Stale | Says::OtherChain));
                if others && attempt < TRIES {
                    attempt += 1;
                    self.pause(PAUSE);
                    continue;
                }
                let agreement = Box::new(agreement);
                let error =
                    if others { Disagreement::Chains(agreement) } else { Disagreement::TooFewAnswers(agreement) };
                return Err(error.into());
            };
            let mut answer = label(&asked, best, &agreement)?;
            for node in agreement.nodes.iter().filter(|node| !node.says.agrees()) {
                self.remarks.add(format!("one of the nodes does not agree: {node}"));
            }
            self.light.judge(answer.proven.standing_mut())?;
            self.tell(answer.proven.standing());
            // On one word alone, whatever it is called.
            if wanted < 2
                && let Some(note) = answer.proven.standing().first_note(&self.network, self.minimum_work)
            {
                self.remarks.add(note);
            }
            self.first.store(best, std::sync::atomic::Ordering::Relaxed);
            answer.proven = answer.proven.agreed(agreement);
            return Ok(answer);
        }
    }
}

/// Which answer stands on most work, and how the others go with it.
fn judge(asked: &Asked, wanted: usize) -> (Option<usize>, Agreement) {
    let work = |at: &usize| asked[*at].1.as_ref().ok().map(|(proven, _)| proven.standing().work);
    // The first of several with as much.
    let best = (0..asked.len()).filter(|at| work(at).is_some()).rev().max_by_key(work);
    let most = best.and_then(|best| asked[best].1.as_ref().ok()).map(|(proven, _)| proven.standing());
    let opinions = asked.iter().map(|(node, answer)| match (answer, most) {
        (Ok((proven, _)), Some(most)) => Opinion {
            node: node.clone(),
            says: compare(proven.standing(), most),
            height: Some(proven.height.get()),
            block_id: Some(proven.header.id().to_string()),
            chain_work: Some(proven.standing().work.get().to_string()),
            balance: Some(proven.state().balance.to_string()),
            error: None,
            lied: false,
        },
        (answer, _) => silent(node, answer.as_ref().err()),
    });
    (best, Agreement::of(wanted, opinions.collect()))
}

fn silent(node: &str, error: Option<&Error>) -> Opinion {
    Opinion {
        node: node.to_owned(),
        says: Says::Nothing,
        height: None,
        block_id: None,
        chain_work: None,
        balance: None,
        error: Some(error.map_or_else(String::new, |error| error.text())),
        lied: error.is_some_and(|error| error.is_a_lie()),
    }
}

/// How a header goes with the one that stands on most work.
fn compare(one: &Standing, most: &Standing) -> Says {
    if one.id == most.id {
        return Says::Same;
    }
    let missing = most.work.get().saturating_sub(one.work.get());
    match most.chain.work_up_to(one.height, &one.id) {
        Some(_) if missing <= most.chain.work_of(MAX_BEHIND).get() => Says::Behind,
        Some(_) => Says::Stale,
        None => Says::OtherChain,
    }
}

/// The best answer, and how many of those that agree say the same of what cannot be proven.
fn label(asked: &Asked, best: usize, agreement: &Agreement) -> Result<Answer> {
    let good = || asked.iter().zip(&agreement.nodes).filter(|(_, node)| node.says.agrees());
    let views = || good().filter_map(|((_, answer), _)| answer.as_ref().ok()).map(|(_, view)| view);
    let Some(Ok((proven, view))) = asked.get(best).map(|(_, answer)| answer.as_ref()) else {
        return Err(Disagreement::TooFewAnswers(Box::new(agreement.clone())).into());
    };
    let of = agreement.asked;
    let label = |same: &dyn Fn(&AccountView) -> bool| match views().filter(|view| same(view)).count() {
        by if by >= agreement.wanted && by > 1 => Label::Agreed { by, of },
        _ => Label::Unverified,
    };
    Ok(Answer {
        pending_in: label(&|other| other.pending_in == view.pending_in),
        pending_out: label(&|other| other.pending_out == view.pending_out),
        immature: label(&|other| other.immature == view.immature),
        proven: proven.clone(),
        view: view.clone(),
    })
}
