//! Answers that are made of several reads, while the chain reorganises under them.

use farthing::{Account, EntryId, Hash, account::history_link, wire::AnchoredProof};

use super::*;
use crate::testing::{ALICE, BOB};

/// Blocks of each branch by which it overtakes the other.
const LEAP: usize = 2;

/// Two branches that overtake each other again and again; both move money of the same accounts.
async fn leapfrog(api: &Api, rounds: usize) -> u64 {
    let genesis = (*api.test.chain.view()).clone();
    let mut branches = [(genesis.clone(), 1_u8, 0), (genesis, 2, 0)];
    let mut reorganisations = 0;
    for round in 0..rounds {
        let (view, mark, nonce) = &mut branches[round % 2];
        let blocks = if round == 0 { 1 } else { LEAP };
        for _ in 0..blocks {
            let pay = ALICE.pay(*nonce, BOB.address(), u64::from(*mark));
            *nonce += 1;
            let (block, next) = next_on(view, vec![pay], *mark);
            *view = next;
            api.test.chain.submit_block(block, Origin::Local).await.unwrap();
        }
        assert_eq!(api.test.chain.view().tip.id(), view.tip.id(), "the branch overtakes");
        reorganisations += 1;
    }
    reorganisations
}

fn id_of_alice() -> v1::get_account_request::Id {
    v1::get_account_request::Id::Address(ALICE.address().to_bytes().to_vec().into())
}

#[tokio::test]
async fn every_proof_verifies_while_the_chain_reorganises() {
    let api = Api::start().await;
    let reorganising = leapfrog(&api, 60);
    let mut client = api.client().await;
    let mut tips = std::collections::BTreeSet::new();
    let asking = async {
        loop {
            let request = v1::GetAccountRequest { id: Some(id_of_alice()), with_proof: true };
            let answer = client.get_account(request).await.unwrap().into_inner();
            let proof = AnchoredProof::try_from(answer.proof.unwrap()).unwrap();
            let proven = proof.verify(&ALICE.address()).unwrap().unwrap();
            assert_eq!(Account::try_from(answer.account.unwrap()), Ok(proven));
            assert_eq!(answer.tip.unwrap().block_id_hex, proof.header.id().to_string());
            tips.insert(proof.header.id());
        }
    };
    tokio::select! {
        () = asking => {}
        rounds = tokio::time::timeout(PATIENCE, reorganising) => assert_eq!(rounds.unwrap(), 60),
    }
    assert!(tips.len() > 3, "{} tips seen", tips.len());
}

#[tokio::test]
async fn every_first_page_of_a_history_holds_together_while_the_chain_reorganises() {
    let api = Api::start().await;
    let reorganising = leapfrog(&api, 40);
    let mut client = api.client().await;
    let mut answers = 0;
    let asking = async {
        loop {
            let id = v1::list_account_entries_request::Id::Address(ALICE.address().to_bytes().to_vec().into());
            let request = v1::ListAccountEntriesRequest { id: Some(id), page_size: 100, ..Default::default() };
            let answer = client.list_account_entries(request).await.unwrap().into_inner();
            let mut history = Hash::ZERO;
            for entry in answer.entries.iter().rev() {
                history = history_link(&history, EntryId::try_from(&entry.id[..]).unwrap(), Height::new(entry.height));
                assert_eq!(entry.history.as_ref(), history.as_bytes(), "links of two branches in one answer");
            }
            answers += 1;
        }
    };
    tokio::select! {
        () = asking => {}
        rounds = tokio::time::timeout(PATIENCE, reorganising) => assert_eq!(rounds.unwrap(), 40),
    }
    assert!(answers > 3, "{answers} answers");
}

#[tokio::test]
async fn every_transfer_that_is_found_is_in_the_block_that_is_named_while_the_chain_reorganises() {
    let api = Api::start().await;
    let reorganising = leapfrog(&api, 100);
    let ids: Vec<TxId> = [1, 2].map(|mark| api.id_of(&ALICE.pay(0, BOB.address(), mark))).into();
    let mut found = [0, 0];
    let asking = async {
        loop {
            for (id, found) in ids.iter().zip(&mut found) {
                let Some(at) = api.test.chain.locate(*id).await.unwrap() else { continue };
                let block = api.test.chain.chain_block(at.block_id).await.unwrap().unwrap();
                assert_eq!(block.tx_ids.get(at.index as usize - 1), Some(id));
                *found += 1;
            }
        }
    };
    tokio::select! {
        () = asking => {}
        rounds = tokio::time::timeout(PATIENCE, reorganising) => assert_eq!(rounds.unwrap(), 100),
    }
    assert!(found.iter().all(|found| *found > 3), "{found:?}");
}
