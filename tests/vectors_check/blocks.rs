//! Blocks: executed one after the other from genesis as a node does it, and refused behind such a chain.

use std::collections::BTreeMap;

use farthing::{
    Account, Address, Block, Height, Mites, Params, Sender, VerifyingKey, Work, codec::Canonical as _,
    header::commitment,
};
use farthing_consensus::{BlockError, CheckedBlock, check_block, check_header, check_signature};
use farthing_node::ledger::ChainView;

use super::{Case, Vectors, network, refusal::Refusal, typed};

/// A chain as a node holds it: the ledger at its tip, and the keys that its transactions carried.
#[derive(Debug, Clone)]
struct Ledger {
    params: Params,
    view: ChainView,
    keys: BTreeMap<Address, VerifyingKey>,
}

impl Ledger {
    fn genesis(params: Params) -> Self {
        Self { view: ChainView::genesis(&params), params, keys: BTreeMap::new() }
    }

    /// All rules, in SPEC's order: the bytes, the header on the tip, the body, signatures, execution, commitment.
    fn connect(&self, bytes: &[u8]) -> Result<Self, Refusal> {
        let params = &self.params;
        let block = Block::from_canonical_within(bytes, params.max_block_bytes)?;
        let context = check_header(params, &self.view.tip, &block.header, block.header.time)?;
        let checked = check_block(params, &block)?;
        let keys = self.check_signatures(&checked)?;
        let view = self.view.apply(params, &checked, &context)?.view;
        Ok(Self { params: params.clone(), view, keys })
    }

    /// A transaction whose sender's key is not known cannot be executed either; that is found there.
    fn check_signatures(&self, block: &CheckedBlock) -> Result<BTreeMap<Address, VerifyingKey>, Refusal> {
        let mut keys = self.keys.clone();
        for (signed, position) in block.block().transactions.iter().zip(1..) {
            let sender = signed.transaction().sender_address();
            if let Sender::Key(key) = signed.transaction().sender() {
                keys.insert(sender, VerifyingKey::new(key)?);
            }
            let Some(key) = keys.get(&sender) else { continue };
            let id = signed.transaction().id(self.params.genesis_id());
            check_signature(&self.params, signed, key).map_err(|error| BlockError::Transaction {
                position,
                id,
                error,
            })?;
        }
        Ok(keys)
    }
}

fn accounts(cases: Vec<Case<'_>>) -> Vec<(Address, Account)> {
    cases.into_iter().map(|case| (case.hash("address"), typed::account(case))).collect()
}

/// Everything that the vectors say of one block of a chain.
fn check_connected(case: Case<'_>, before: &Ledger, after: &Ledger) {
    let params = &after.params;
    let block = Block::from_canonical(&case.bytes("bytes")).unwrap_or_else(|error| panic!("{case}: {error}"));
    assert_eq!(block.header, typed::header(case.object("header")), "{case}");
    assert_eq!(block.coinbase, typed::coinbase(case.object("coinbase")), "{case}");
    assert_eq!(block.coinbase.id(params.genesis_id()), case.hash("coinbase_id"), "{case}");
    assert_eq!(block.coinbase.leaf(), case.hash("coinbase_leaf"), "{case}");
    assert_eq!(block.to_canonical(), case.bytes("bytes"), "{case}");
    assert_eq!(block.size_bytes(), case.small::<usize>("size_bytes"), "{case}");
    assert_eq!(block.transactions.len(), case.list("transactions").len(), "{case}");
    for (signed, case) in block.transactions.iter().zip(case.list("transactions")) {
        assert_eq!(*signed, typed::signed_transaction(case), "{case}");
        assert_eq!(signed.transaction().id(params.genesis_id()), case.hash("transaction_id"), "{case}");
        assert_eq!(signed.wire_id(), case.hash("wire_id"), "{case}");
    }
    let (tip, height) = (&after.view.tip, Height::new(case.number("height")));
    assert_eq!((tip.id(), tip.height()), (case.hash("block_id"), height), "{case}");
    assert_eq!(tip.total_work(), Work::new(case.number("total_work")), "{case}");
    assert_eq!(before.view.accounts.root(), case.hash("accounts_root_before"), "{case}");
    assert_eq!(after.view.accounts.root(), case.hash("accounts_root_after"), "{case}");
    assert_eq!(before.view.range.chain_root(), Ok(case.hash("chain_root")), "{case}");
    let committed = commitment(&case.hash("accounts_root_after"), &case.hash("chain_root"));
    assert_eq!(block.header.commitment, committed, "{case}");
    let held: Vec<_> = after.view.accounts.iter().map(|(address, entry)| (*address, entry.account)).collect();
    assert_eq!(held, accounts(case.list("accounts_after")), "{case}");
    let minted = before.view.supply.checked_add(params.subsidy(height)).expect("the supply fits");
    let burned = minted.checked_sub(after.view.supply).expect("nothing else is made");
    assert_eq!(burned, typed::mites(case, "burned_mites"), "{case}");
    check_supply(case, &after.view);
}

/// SPEC section 7: balances and credits still delayed are all the money there is.
fn check_supply(case: Case<'_>, view: &ChainView) {
    let balances = view.accounts.iter().map(|(_, entry)| entry.account.balance);
    let delayed = view.immature.iter().map(|coinbase| coinbase.amount);
    assert_eq!(Mites::checked_sum(balances.chain(delayed)), Some(view.supply), "{case}");
}

#[test]
fn blocks_are_executed_and_refused_as_the_vectors_say() {
    let file = Vectors::open("blocks", &["chains", "refused_blocks"]);
    let mut chains: BTreeMap<String, Vec<Ledger>> = BTreeMap::new();
    for chain in file.cases("chains") {
        let params = network(chain.text("network"));
        assert_eq!(*params.genesis_id(), chain.hash("genesis_id"), "{chain}");
        let genesis = Ledger::genesis(params);
        let held: Vec<_> = genesis.view.accounts.iter().map(|(address, entry)| (*address, entry.account)).collect();
        assert_eq!(held, accounts(chain.list("genesis_accounts")), "{chain}");
        let mut states = vec![genesis];
        for case in chain.list("blocks") {
            let before = &states[states.len() - 1];
            let after = before.connect(&case.bytes("bytes")).unwrap_or_else(|refusal| panic!("{case}: {refusal:?}"));
            check_connected(case, before, &after);
            states.push(after);
        }
        chains.insert(chain.text("network").to_owned(), states);
    }
    for case in file.cases("refused_blocks") {
        let states = &chains[case.text("network")];
        let state = &states[case.small::<usize>("connected_before")];
        case.refused(state.connect(&case.bytes("bytes")).map(|ledger| ledger.view.tip));
    }
}
