//! The tree against its definition.

use std::collections::BTreeMap;

use farthing::{Account, Address, Hash, Mites, account::accounts_root, hash::sha256};
use proptest::prelude::*;

use super::{
    AccountTree, Entry, NotSorted,
    node::{Inner, Leaf},
    root_of_sorted,
};

/// Sets or removes one account.
#[derive(Debug, Clone)]
enum Change {
    Set(Address, u64),
    Remove(Address),
}

/// Addresses as an attacker picks them: neighbours that share all but a few low bits, prefixes of every length, and
/// few enough that changes hit what is there.
fn address() -> impl Strategy<Value = Address> {
    let flipped = |base: [u8; 32]| {
        proptest::collection::vec(0_u8..=255, 0..3).prop_map(move |bits| {
            let mut bytes = base;
            for bit in bits {
                bytes[usize::from(bit >> 3)] ^= 0x80 >> (bit & 7);
            }
            Address::from_bytes(bytes)
        })
    };
    prop_oneof![
        flipped([0; 32]),
        flipped([0xff; 32]),
        (0_u8..40).prop_map(|low| {
            let mut bytes = [0x5a; 32];
            bytes[31] = low;
            Address::from_bytes(bytes)
        }),
        (0_u8..40).prop_map(|seed| Address::from_bytes(sha256(&[&[seed]]))),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => (address(), any::<u64>()).prop_map(|(address, balance)| Change::Set(address, balance)),
        2 => address().prop_map(Change::Remove),
    ]
}

fn account(balance: u64) -> Account {
    Account { balance: Mites::new(balance), next_nonce: balance / 3, entries: balance / 2, history: Hash::ZERO }
}

fn entry(balance: u64) -> Entry<u64> {
    Entry { account: account(balance), meta: balance ^ 1 }
}

fn definition(model: &BTreeMap<Address, u64>) -> Hash {
    let sorted: Vec<_> = model.iter().map(|(address, balance)| (*address, account(*balance))).collect();
    accounts_root(&sorted)
}

/// Everything that can be read from a tree, against the model.
fn compare(tree: &AccountTree<u64>, model: &BTreeMap<Address, u64>, absent: &[Address]) {
    assert_eq!(tree.root(), definition(model));
    assert_eq!(tree.len(), model.len());
    assert_eq!(tree.is_empty(), model.is_empty());
    assert_eq!(tree.into_iter().len(), model.len());
    let listed: Vec<_> = tree.iter().map(|(address, entry)| (*address, *entry)).collect();
    let expected: Vec<_> = model.iter().map(|(address, balance)| (*address, entry(*balance))).collect();
    assert_eq!(listed, expected);
    for address in model.keys().chain(absent) {
        let expected = model.get(address).map(|balance| entry(*balance));
        assert_eq!(tree.get(address), expected.as_ref());
        let proven = tree.prove(address).verify(&tree.root(), address);
        assert_eq!(proven, Ok(expected.map(|entry| entry.account)), "{address}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_changes_give_the_root_the_order_and_the_proofs_of_the_definition(
        changes in proptest::collection::vec(change(), 0..60),
        absent in proptest::collection::vec(address(), 0..10),
    ) {
        let (mut tree, mut model) = (AccountTree::new(), BTreeMap::new());
        // Trees of earlier moments share nodes with the one that changes and must not change with it.
        let mut earlier = Vec::new();
        for (at, change) in changes.into_iter().enumerate() {
            if at % 7 == 0 {
                if at % 2 == 0 { let _ = tree.root(); }
                earlier.push((tree.clone(), model.clone()));
            }
            match change {
                Change::Set(address, balance) => {
                    tree.insert(address, entry(balance));
                    model.insert(address, balance);
                }
                Change::Remove(address) => {
                    prop_assert_eq!(tree.remove(&address), model.remove(&address).is_some());
                }
            }
        }
        compare(&tree, &model, &absent);
        for (tree, model) in &earlier {
            compare(tree, model, &absent);
        }
        let sorted = model.iter().map(|(address, balance)| (*address, entry(*balance)));
        compare(&AccountTree::from_sorted(sorted).unwrap(), &model, &absent);
        let sorted = model.iter().map(|(address, balance)| (*address, account(*balance)));
        prop_assert_eq!(root_of_sorted(sorted), Ok(tree.root()));
    }
}

#[test]
fn no_account_proves_every_absence() {
    let tree = AccountTree::<()>::new();
    assert_eq!(tree.root(), Hash::ZERO);
    let address = Address::from_bytes([1; 32]);
    assert_eq!(tree.prove(&address).verify(&Hash::ZERO, &address), Ok(None));
}

#[test]
fn one_account_is_its_own_root() {
    let (mut tree, there) = (AccountTree::new(), Address::from_bytes([1; 32]));
    tree.insert(there, entry(9));
    assert_eq!(tree.root(), account(9).leaf_hash(&there));
    compare(&tree, &BTreeMap::from([(there, 9)]), &[Address::from_bytes([2; 32])]);
    assert!(tree.remove(&there));
    compare(&tree, &BTreeMap::new(), &[there]);
}

/// One account for every bit: the deepest tree there is, 256 levels, on a thread with a small stack.
#[test]
fn the_deepest_tree_is_built_hashed_changed_and_dropped_within_a_small_stack() {
    let deepest = || {
        let mut addresses: Vec<Address> = (0..=255_u8)
            .map(|bit| {
                let mut bytes = [0; 32];
                bytes[usize::from(bit >> 3)] = 0x80 >> (bit & 7);
                Address::from_bytes(bytes)
            })
            .chain([Address::ZERO])
            .collect();
        let mut tree = AccountTree::new();
        let mut model = BTreeMap::new();
        for (at, address) in addresses.iter().enumerate() {
            tree.insert(*address, entry(at as u64));
            model.insert(*address, at as u64);
        }
        compare(&tree, &model, &[Address::from_bytes([0xff; 32])]);
        assert_eq!(tree.prove(&Address::ZERO).steps.len(), 256);
        addresses.sort();
        let built = AccountTree::from_sorted(model.iter().map(|(address, at)| (*address, entry(*at)))).unwrap();
        assert_eq!(built.root(), tree.root());
        let streamed = root_of_sorted(model.iter().map(|(address, at)| (*address, account(*at))));
        assert_eq!(streamed, Ok(tree.root()));
        for address in addresses {
            assert!(tree.remove(&address));
        }
        assert_eq!(tree.root(), Hash::ZERO);
    };
    #[allow(clippy::disallowed_methods, reason = "a stack size can only be set on a thread of one's own")]
    let thread = std::thread::Builder::new().stack_size(256 * 1024).spawn(deepest).unwrap();
    thread.join().unwrap();
}

#[test]
fn accounts_out_of_order_or_twice_are_refused() {
    let [low, high] = [[1; 32], [2; 32]].map(Address::from_bytes);
    let build =
        |order: &[Address]| AccountTree::from_sorted(order.iter().map(|a| (*a, entry(1)))).map(|tree| tree.len());
    assert_eq!(build(&[low, high]), Ok(2));
    assert_eq!(build(&[high, low]), Err(NotSorted { address: low, previous: high }));
    assert_eq!(build(&[low, low]), Err(NotSorted { address: low, previous: low }));
}

/// Accounts live in memory for ever, so their size is a promise: 300 bytes with 16 of the node's own.
#[test]
fn an_account_stays_within_its_budget() {
    // Two counts of an Arc; and what an allocator adds, rounded as the common ones do.
    let allocated = |size: usize| (size + 16 + 8).next_multiple_of(16);
    let account = allocated(size_of::<Leaf<[u64; 2]>>()) + allocated(size_of::<Inner<[u64; 2]>>());
    assert!(account <= 300, "{account} bytes");
}

#[test]
fn genesis_commits_to_its_allocations() {
    for network in farthing::params::Network::ALL {
        let params = network.params();
        let tree = AccountTree::genesis(params, &());
        assert_eq!(tree.len(), params.allocations.len());
        let expected = farthing::header::commitment(&tree.root(), &Hash::ZERO);
        assert_eq!(params.genesis().header.commitment, expected);
    }
}

/// A path is copied only where it is shared: the memory of a tree that changes alone does not move.
#[test]
fn snapshots_stay_what_they_were_while_the_tree_moves_on() {
    let mut tree = AccountTree::new();
    let address = |n: u64| Address::from_bytes(sha256(&[&n.to_le_bytes()]));
    for n in 0..100 {
        tree.insert(address(n), entry(n));
    }
    let before = tree.clone();
    let root = before.root();
    for n in 0..50 {
        tree.insert(address(n), entry(n + 1_000));
        assert!(tree.remove(&address(n + 50)));
    }
    assert_eq!(before.root(), root);
    assert_eq!(before.len(), 100);
    assert_eq!(tree.len(), 50);
    assert_eq!(before.get(&address(7)), Some(&entry(7)));
    assert_eq!(tree.get(&address(7)), Some(&entry(1_007)));
}
