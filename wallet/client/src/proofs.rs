//! What is proven or adds up: transfers that were mined, the work of the chain, and how much money there is.

use farthing::{
    Address, Mites, Params, TransactionProof, TxId,
    chain_proof::ChainProof,
    transaction_proof::{Anchor, ProvenTransaction},
    wire::{AnchoredProof, ChainPoint, WireError, v1},
};

use crate::{
    calls::{ask, other_answer},
    client::{Client, Needs},
    error::Error,
    verify::{self, VerifyError},
};

/// A transfer that was proven to be mined in a block at one height of the chain that ends in one header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MinedTransaction {
    /// The proof, to be kept or passed on.
    pub proof: TransactionProof,
    /// Block, height, place and depth that it proves.
    pub proven: ProvenTransaction,
    /// The tip that it leads to. That this is the chain with the most work is on the node's word.
    pub tip: ChainPoint,
}

/// The chain below one tip as a node shows it, and what the caller's check made of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownChain<T> {
    /// The proof, to be kept or passed on.
    pub proof: ChainProof,
    /// What the check returned.
    pub proven: T,
    /// The tip that it is for: the last header of the proof, at its height.
    pub tip: ChainPoint,
}

/// Money at one tip, on the node's word; the figures add up, and what genesis gave is the network's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supply {
    /// The tip that all the figures are for.
    pub tip: ChainPoint,
    /// What genesis gave.
    pub allocated: Mites,
    /// Subsidies of all blocks.
    pub subsidies: Mites,
    /// What opening accounts has burned.
    pub burned: Mites,
    /// Mined rewards that are not yet credited.
    pub immature: Mites,
    /// Balances of all accounts.
    pub circulating: Mites,
    /// What exists.
    pub supply: Mites,
}

impl Client {
    /// Proof that a transfer was mined, checked: that it is in that block, at that height of the chain that ends in the tip. With
    /// [`crate::Trust::Verify`] both headers have work. What ties the one to the other is what the tip commits to, so a false depth costs a
    /// liar that one header: whoever counts confirmations reads the [`Client::headers`] between, each of which names the one before it.
    ///
    /// # Errors
    /// [`Error`]; with `TRANSACTION_NOT_MINED` there is nothing to prove yet.
    pub async fn transaction_proof(&self, id: &TxId) -> Result<MinedTransaction, Error> {
        let name = v1::get_transaction_proof_request::Id::TransactionId(id.to_bytes().to_vec().into());
        let request = v1::GetTransactionProofRequest { id: Some(name) };
        self.call(Needs::Tip, ask!(get_transaction_proof, request), |answer: v1::GetTransactionProofResponse, node| {
            let tip = node.read_tip(answer.tip)?;
            let proof = answer.proof.ok_or_else(|| WireError::missing("proof"));
            let proof =
                proof.and_then(|proof| TransactionProof::try_from(proof).map_err(|error| error.within("proof")));
            let proof = proof.map_err(|error| node.malformed(error))?;
            let proven = proof
                .verify(self.network(), id, &tip.block_id)
                .map_err(|error| node.unproven(VerifyError::TransactionProof(Box::new(error))))?;
            if self.verifies() {
                let mut headers = vec![(proof.header, proven.height)];
                if let Anchor::Ancestor { tip, .. } = &proof.anchor {
                    headers.push((*tip, proven.tip_height));
                }
                for (header, height) in headers {
                    verify::header(self.network(), &header, height).map_err(|error| node.unproven(error))?;
                }
            }
            Ok(MinedTransaction { proof, proven, tip })
        })
        .await
    }

    /// Proof of the work of the whole chain, in a few hundred headers, held against `check`. To check one takes the rules of
    /// difficulty, which are those of nodes and not in this crate: `farthing_consensus::verify_chain_proof` has
    /// just the form that is wanted here, and returns the tip with its proven height and work. Checked here is only that the
    /// proof is for the tip that the node names. A node whose proof does not pass counts as one that lies, and the next one is
    /// asked.
    ///
    /// # Errors
    /// [`Error`]; [`Error::Unproven`] with [`VerifyError::ChainProof`] if no node's proof passes.
    pub async fn chain_proof<T, E>(
        &self,
        check: impl Fn(&Params, &ChainProof) -> Result<T, E>,
    ) -> Result<ShownChain<T>, Error>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let request = v1::GetChainProofRequest {};
        self.call(Needs::Tip, ask!(get_chain_proof, request), |answer: v1::GetChainProofResponse, node| {
            let proof = answer.proof.ok_or_else(|| WireError::missing("proof"));
            let proof = proof.and_then(|proof| ChainProof::try_from(proof).map_err(|error| error.within("proof")));
            let proof = proof.map_err(|error| node.malformed(error))?;
            let tip = node.read_tip(answer.tip)?;
            let (found, expected) = ((proof.count, proof.tip.id()), (tip.height.get(), tip.block_id));
            if found != expected {
                let name = |(height, id)| format!("block {height} {id}");
                return Err(other_answer(node, &name(found), &name(expected)));
            }
            let checked = check(self.network(), &proof);
            let proven = checked.map_err(|error| node.unproven(VerifyError::ChainProof(Box::new(error))))?;
            Ok(ShownChain { proof, proven, tip })
        })
        .await
    }

    /// How much money there is, where it came from and where it is.
    ///
    /// # Errors
    /// [`Error`]; [`Error::Unproven`] if the figures do not add up.
    pub async fn supply(&self) -> Result<Supply, Error> {
        let request = v1::GetSupplyRequest {};
        self.call(Needs::Tip, ask!(get_supply, request), |answer: v1::GetSupplyResponse, node| {
            let tip = node.read_tip(answer.tip.clone())?;
            add_up(self, &answer).map_err(|what| node.unproven(VerifyError::Supply(what)))?;
            Ok(Supply {
                tip,
                allocated: Mites::new(answer.allocated_mites),
                subsidies: Mites::new(answer.subsidies_mites),
                burned: Mites::new(answer.burned_mites),
                immature: Mites::new(answer.immature_mites),
                circulating: Mites::new(answer.circulating_mites),
                supply: Mites::new(answer.supply_mites),
            })
        })
        .await
    }

    /// An account's proof itself, to be kept or passed on, checked as [`Client::account`] checks it.
    ///
    /// # Errors
    /// [`Error`]; [`Error::Unproven`] if the node states something else than it proves.
    pub async fn account_proof(&self, address: &Address) -> Result<AnchoredProof, Error> {
        let id = Some(v1::get_account_request::Id::Address(address.to_bytes().to_vec().into()));
        let request = v1::GetAccountRequest { id, with_proof: true };
        self.call(Needs::Tip, ask!(get_account, request), |answer: v1::GetAccountResponse, node| {
            verify::account(self.network(), address, &answer).map_err(|error| node.unproven(error))?;
            let proof = answer.proof.ok_or_else(|| WireError::missing("proof"));
            let proof = proof.and_then(|proof| AnchoredProof::try_from(proof).map_err(|error| error.within("proof")));
            proof.map_err(|error| node.malformed(error))
        })
        .await
    }
}

fn add_up(client: &Client, answer: &v1::GetSupplyResponse) -> Result<(), &'static str> {
    let given = client.network().allocations.iter().map(|allocation| u128::from(allocation.amount.get()));
    if given.sum::<u128>() != u128::from(answer.allocated_mites) {
        return Err("what genesis gave is another sum");
    }
    let sum = |a: u64, b: u64| u128::from(a) + u128::from(b);
    let made = sum(answer.allocated_mites, answer.subsidies_mites);
    if sum(answer.supply_mites, answer.burned_mites) != made {
        return Err("what exists and what was burned is not what was made");
    }
    if sum(answer.circulating_mites, answer.immature_mites) != u128::from(answer.supply_mites) {
        return Err("balances and rewards to come are not what exists");
    }
    Ok(())
}
