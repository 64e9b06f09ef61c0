//! The transaction tree, the account tree and its proofs, history chains, and the range of headers.

use farthing::{
    Account, Address, EntryId, Hash, Height, RangeNode, RangePeaks, TimeMs, Work,
    account::{accounts_root, history_link},
    codec::Canonical as _,
    history::verify_history,
    merkle::{TxPath, tx_path, tx_root},
    proof::{AccountProof, ProofStep},
    range::AncestryProof,
};
use farthing_consensus::{AccountTree, Entry};

use super::{Case, Vectors, read_hash, refusal::Refusal, typed};

#[test]
fn transaction_trees_and_paths_are_those_of_the_vectors() {
    let file = Vectors::open("merkle", &["trees", "refused_paths"]);
    for case in file.cases("trees") {
        let (leaves, root) = (case.hashes("leaves"), case.hash("tx_root"));
        assert_eq!(tx_root(&leaves), root, "{case}");
        let paths = case.list("paths");
        assert_eq!(paths.len(), leaves.len(), "{case}");
        for (index, Case(siblings)) in paths.into_iter().enumerate() {
            let made = tx_path(&leaves, index).expect("there is such a leaf");
            let siblings: Vec<_> = siblings.as_array().expect("a path is a list").iter().map(read_hash).collect();
            assert_eq!(made.siblings, siblings, "{case}: leaf {index}");
            assert_eq!(made.verify(&leaves[index], &root), Ok(()), "{case}: leaf {index}");
        }
    }
    for case in file.cases("refused_paths") {
        let path = TxPath { index: case.number("index"), count: case.number("count"), siblings: case.hashes("path") };
        case.refused(path.verify(&case.hash("leaf"), &case.hash("tx_root")).map_err(Refusal::from));
    }
}

fn account_proof(case: Case<'_>) -> AccountProof {
    let leaf = || (case.hash("leaf_address"), typed::account(case.object("leaf_account")));
    let step = |case: Case<'_>| ProofStep { bit: case.small("bit"), sibling: case.hash("sibling") };
    AccountProof {
        leaf: case.has("leaf_address").then(leaf),
        steps: case.list("steps").into_iter().map(step).collect(),
    }
}

fn verify(case: Case<'_>) -> Result<Option<Account>, Refusal> {
    Ok(account_proof(case).verify(&case.hash("accounts_root"), &case.hash("key"))?)
}

#[test]
fn account_trees_and_proofs_are_those_of_the_vectors() {
    let file = Vectors::open("accounts", &["growing_tree", "final_accounts", "proofs", "refused_proofs"]);
    let mut tree = AccountTree::new();
    let mut states = vec![tree.clone()];
    for case in file.cases("growing_tree") {
        let (address, account): (Address, _) = (case.hash("address"), typed::account(case.object("account")));
        assert_eq!(account.leaf_hash(&address), case.hash("leaf"), "{case}");
        tree.insert(address, Entry { account, meta: () });
        assert_eq!(tree.root(), case.hash("accounts_root"), "{case}");
        states.push(tree.clone());
    }
    let last: Vec<(Address, Account)> =
        file.cases("final_accounts").into_iter().map(|case| (case.hash("address"), typed::account(case))).collect();
    let held: Vec<_> = tree.iter().map(|(address, entry)| (*address, entry.account)).collect();
    assert_eq!(held, last);
    assert_eq!(accounts_root(&last), tree.root());
    let rebuilt = AccountTree::from_sorted(last.iter().map(|(address, account)| {
        let entry = Entry { account: *account, meta: () };
        (*address, entry)
    }));
    assert_eq!(rebuilt.expect("the vectors are sorted").root(), tree.root());
    for case in file.cases("proofs") {
        let (root, key): (Hash, Address) = (case.hash("accounts_root"), case.hash("key"));
        let proof = account_proof(case);
        let expected = proof.leaf.filter(|_| case.flag("present")).map(|(_, account)| account);
        assert_eq!(verify(case), Ok(expected), "{case}");
        // The tree makes the very proof, wherever the vectors let it grow to that root.
        let state = states.iter().find(|state| state.root() == root);
        let state = state.unwrap_or_else(|| panic!("{case}: no tree has this root"));
        assert_eq!(state.prove(&key), proof, "{case}");
    }
    for case in file.cases("refused_proofs") {
        case.refused(verify(case));
    }
}

fn entry(case: Case<'_>) -> (EntryId, Height) {
    (case.hash("id"), Height::new(case.number("height")))
}

#[test]
fn histories_are_linked_and_refused_as_the_vectors_say() {
    let file = Vectors::open("history", &["chains", "refused_claims"]);
    let account = |case: Case<'_>| Account {
        entries: case.number("entries"),
        history: case.hash("history"),
        ..Account::default()
    };
    for case in file.cases("chains") {
        let mut grown = Account::default();
        for link in case.list("chain") {
            let (id, height) = entry(link);
            assert_eq!(history_link(&grown.history, id, height), link.hash("history"), "{case}");
            grown.link(id, height);
        }
        assert_eq!(grown, account(case), "{case}");
        let entries: Vec<_> = case.list("chain").into_iter().map(entry).collect();
        let falling = entries.windows(2).any(|pair| pair[0].1 > pair[1].1);
        assert_eq!(verify_history(&grown, &entries).is_ok(), !falling, "{case}");
    }
    for case in file.cases("refused_claims") {
        let claimed: Vec<_> = case.list("claimed").into_iter().map(entry).collect();
        case.refused(verify_history(&account(case), &claimed).map_err(Refusal::from));
    }
}

fn leaf(case: Case<'_>) -> RangeNode {
    let time = TimeMs::new(case.number("time_ms"));
    let work = Work::new(case.number("work"));
    RangeNode { commit: case.hash("block_id"), count: 1, work, first_time: time, last_time: time }
}

fn ancestry(case: Case<'_>) -> Result<(), Refusal> {
    let node = |Case(value): Case<'_>| {
        let bytes = value.as_str().and_then(|text| hex::decode(text).ok()).expect("a node is hex");
        RangeNode::from_canonical(&bytes).expect("a node has 72 bytes")
    };
    let siblings = case.list("path").into_iter().map(node).collect();
    let proof = AncestryProof { index: case.number("height"), count: case.number("count"), siblings };
    Ok(proof.verify(&leaf(case.object("header")), &case.hash("chain_root"))?)
}

#[test]
fn header_ranges_and_ancestry_paths_are_those_of_the_vectors() {
    let file = Vectors::open("range", &["headers", "roots", "ancestry_paths", "refused_paths"]);
    let headers: Vec<_> = file.cases("headers").into_iter().map(leaf).collect();
    let mut written = Vec::new();
    let mut peaks = RangePeaks::default();
    let roots = file.cases("roots");
    assert_eq!(roots.len(), headers.len() + 1);
    for (count, case) in (0_u64..).zip(roots) {
        assert_eq!(case.number::<u64>("count"), count, "{case}");
        assert_eq!(peaks.chain_root(), Ok(case.hash("chain_root")), "{case}");
        let root = peaks.root().expect("sums of the vectors fit");
        assert_eq!(root.map(|node| node.to_canonical()), case.has("root_bytes").then(|| case.bytes("root_bytes")));
        if let Some(header) = headers.get(peaks.count() as usize) {
            written.extend(peaks.append(*header).expect("sums of the vectors fit"));
        }
    }
    for case in file.cases("ancestry_paths") {
        assert_eq!(ancestry(case), Ok(()), "{case}");
        let (height, count) = (case.number("height"), case.number("count"));
        let made = AncestryProof::build(height, count, |at| Ok::<_, ()>(written[at as usize]));
        let siblings: Vec<_> = made.expect("reads do not fail").expect("there is such a header").siblings;
        let bytes: Vec<_> = siblings.iter().map(|node| hex::encode(node.to_canonical())).collect();
        let expected: Vec<_> = case.list("path").into_iter().filter_map(|Case(value)| value.as_str()).collect();
        assert_eq!(bytes, expected, "{case}");
    }
    for case in file.cases("refused_paths") {
        case.refused(ancestry(case));
    }
}
