//! A chain that begins with a checkpoint: what it keeps, what a restart finds, and what a liar gets.

use farthing::{
    Coinbase, Hash, PublicKey,
    checkpoint::{CheckpointAccount, CheckpointFault, Layout, ProvenCoinbase, encode_accounts, encode_coinbases},
    merkle::tx_path,
};

use super::*;
use crate::{
    env::{
        Disk,
        disk::{Fault, FaultError, FaultOp, Survivors},
    },
    store::{BASE_HEADERS, BeginError, Beginning, HeaderFile, MemoryStore, Spool, checkpoint, verify},
    testing::BOB,
};

/// Where the checkpoint is taken.
const AT: usize = 12;

/// Blocks in which alice pays in each, and the last of which follow the checkpoint.
fn blocks() -> Vec<Grown> {
    let params = dev();
    chain(&params, &ChainView::genesis(&params), 20, 1)
}

/// What peers would send of a ledger.
fn accounts_of(view: &ChainView) -> Vec<CheckpointAccount> {
    let key = |address| [&ALICE.public, &BOB.public].into_iter().find(|key: &&PublicKey| key.address() == address);
    let read = |(address, entry): (&Address, &farthing_consensus::Entry<_>)| CheckpointAccount {
        address: *address,
        account: entry.account,
        key: key(*address).filter(|_| entry.account.next_nonce > 0).cloned(),
    };
    view.accounts.iter().map(read).collect()
}

/// A beginning at a block, with these accounts in the place of the true ones.
fn beginning_with(disk: &MemDisk, grown: &[Grown], accounts: &[CheckpointAccount]) -> Beginning {
    let params = dev();
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let path = Path::new(DATA).join("headers.part");
    let mut headers = HeaderFile::create(&disk, &path, HeaderContext::genesis(&params)).unwrap();
    let contexts: Vec<_> = grown.iter().map(|grown| grown.context).collect();
    headers.push(&contexts).unwrap();
    let mut pieces = Spool::create(&disk, &Path::new(DATA).join("checkpoints"), 0).unwrap();
    pieces.push(&encode_accounts(accounts)).unwrap();
    let height = grown[grown.len() - 1].context.height();
    Beginning {
        headers,
        layout: Layout::new(&params, height, accounts.len() as u64).unwrap(),
        pieces: Arc::new(pieces),
    }
}

fn beginning(disk: &MemDisk, grown: &[Grown]) -> Beginning {
    beginning_with(disk, grown, &accounts_of(&grown[grown.len() - 1].view))
}

/// A store that has begun at a block.
fn begun(disk: &MemDisk, grown: &[Grown]) -> (Arc<DiskStore>, ChainView) {
    let (store, _) = open(disk);
    let view = store.begin_at(beginning(disk, grown)).unwrap();
    (store, view)
}

/// What can be read of a chain that began with a block: headers from genesis on, and no body up to it.
fn assert_begun(store: &dyn Store, below: &[Grown]) {
    for grown in below {
        let (id, height) = (grown.id(), grown.context.height());
        assert_eq!((store.header(&id).unwrap(), store.best_at(height).unwrap()), (Some(grown.context), Some(id)));
        assert!(!store.has_body(&id).unwrap());
        assert_eq!((store.block(&id).unwrap(), store.place(&id).unwrap()), (None, None));
        assert_eq!(store.range_peaks(height.get() + 1).unwrap(), grown.view.range);
    }
    let base = store.base().unwrap();
    assert_eq!((base.tip, base.coinbases.len()), (below[below.len() - 1].context, 0));
    assert!(store.has_body(dev().genesis_id()).unwrap());
}

#[test]
fn a_chain_that_begins_with_a_checkpoint_goes_on_and_is_found_again() {
    let grown = blocks();
    let (below, above) = grown.split_at(AT);
    let disk = MemDisk::new();
    let (store, view) = begun(&disk, below);
    let base = &below[AT - 1].view;
    assert_eq!((view.tip, view.accounts.root(), &view.range), (base.tip, base.accounts.root(), &base.range));
    assert_eq!((view.supply, &view.immature), (base.supply, &base.immature));
    assert_begun(store.as_ref(), below);
    let place = view.key_place(&ALICE.address()).unwrap();
    assert_eq!(store.key_at(&place, &ALICE.address()).unwrap(), ALICE.public);
    assert!(store.key_at(&place, &BOB.address()).is_err(), "another account's key stands there");
    extend_all(store.as_ref(), base, above);
    drop(store);
    // As it was left; without its index; without its header range.
    for gone in [None, Some("/data/index"), Some("/data/range")] {
        if let Some(gone) = gone {
            let _ = disk.remove_dir_all(Path::new(gone)).or_else(|_| disk.remove(Path::new(gone)));
        }
        let (store, recovered) = open(&disk);
        assert_recovered(&recovered, &grown[grown.len() - 1].view);
        assert_begun(store.as_ref(), below);
        let place = recovered.view.key_place(&ALICE.address()).unwrap();
        assert_eq!(store.key_at(&place, &ALICE.address()).unwrap(), ALICE.public);
        for block in above {
            assert_eq!(store.block(&block.id()).unwrap().unwrap(), block.block);
        }
    }
    let report = verify(dev(), &env(&disk), Path::new(DATA), &|_| {}).unwrap();
    assert!(report.is_good() && report.executed == grown[grown.len() - 1].context.height(), "{report}");
}

#[test]
fn the_twin_in_memory_begins_alike() {
    let grown = blocks();
    let (below, above) = grown.split_at(AT);
    let (disk, params) = (MemDisk::new(), dev());
    disk.create_dir_all(&Path::new(DATA).join("checkpoints")).unwrap();
    let (store, _) = MemoryStore::new(&params);
    let view = store.begin_at(beginning(&disk, below)).unwrap();
    assert_eq!(view.accounts.root(), below[AT - 1].view.accounts.root());
    assert_begun(&store, below);
    let place = view.key_place(&ALICE.address()).unwrap();
    assert_eq!(store.key_at(&place, &ALICE.address()).unwrap(), ALICE.public);
    extend_all(&store, &below[AT - 1].view, above);
    assert_eq!(store.best_at(Height::new(20)).unwrap(), Some(above[7].id()));
    let again = store.begin_at(beginning(&disk, below)).unwrap_err();
    assert!(matches!(again, BeginError::NotEmpty(height) if height.get() == 20), "{again}");
}

#[test]
fn only_an_empty_directory_begins_with_a_checkpoint() {
    let grown = blocks();
    let disk = MemDisk::new();
    let (store, _) = open(&disk);
    store.commit(grown[0].commit()).unwrap();
    let error = store.begin_at(beginning(&disk, &grown[..AT])).unwrap_err();
    assert!(matches!(error, BeginError::NotEmpty(height) if height.get() == 1), "{error}");
}

/// Every way in which accounts can be wrong without any piece being so in itself.
#[test]
fn accounts_that_the_header_does_not_commit_to_leave_no_trace() {
    let grown = blocks();
    let below = &grown[..AT];
    let right = accounts_of(&below[AT - 1].view);
    type Change = fn(&mut Vec<CheckpointAccount>);
    let changes: [(&str, Change); 5] = [
        ("a mite more", |accounts| accounts[0].account.balance = farthing::Mites::new(1)),
        ("an account missing", |accounts| drop(accounts.remove(2))),
        ("an account too many", |accounts| {
            let address = Address::from_bytes([255; 32]);
            accounts.push(CheckpointAccount { address, ..accounts[0].clone() });
            accounts.last_mut().unwrap().key = None;
            accounts.last_mut().unwrap().account.next_nonce = 0;
        }),
        ("another history", |accounts| accounts[1].account.history = Hash::from_bytes([1; 32])),
        ("a used nonce", |accounts| {
            let alice = accounts.iter_mut().find(|account| account.account.next_nonce > 0).unwrap();
            alice.account.next_nonce += 1;
        }),
    ];
    for (what, change) in changes {
        let disk = MemDisk::new();
        let (store, _) = open(&disk);
        let log = store.log.size_bytes();
        let mut accounts = right.clone();
        change(&mut accounts);
        let error = store.begin_at(beginning_with(&disk, below, &accounts)).unwrap_err();
        let BeginError::Fault(fault) = &error else { panic!("{what}: {error}") };
        assert_eq!(fault.rule(), "R-CKP-10", "{what}");
        assert_eq!((store.log.size_bytes(), store.base()), (log, None), "{what}");
        assert_eq!(checkpoint::list(&disk, Path::new("/data/checkpoints")).unwrap(), [], "{what}");
        // The true one still does.
        store.begin_at(beginning(&disk, below)).unwrap();
        assert_begun(store.as_ref(), below);
    }
}

/// Each further try would put them there once more, until the disk is full of them.
#[test]
fn where_there_is_no_room_for_all_of_it_no_key_gets_into_the_log() {
    let grown = blocks();
    let disk = MemDisk::new();
    let (store, _) = open(&disk);
    let beginning = beginning(&disk, &grown[..AT]);
    let (log, pieces) = (store.log.size_bytes(), Arc::clone(&beginning.pieces));
    disk.set_capacity(disk.used() + 3 * pieces.size_bytes() / 2);
    let error = store.begin_at(beginning).unwrap_err();
    assert!(matches!(&error, BeginError::Store(error) if error.is_disk_full()), "{error}");
    assert_eq!((store.log.size_bytes(), store.base()), (log, None));
    assert!(pieces.piece(0).is_ok(), "what was fetched is still there for another try");
}

#[test]
fn the_checkpoint_of_another_block_is_refused() {
    let grown = blocks();
    let disk = MemDisk::new();
    let (store, _) = open(&disk);
    let accounts = accounts_of(&grown[AT - 2].view);
    let error = store.begin_at(beginning_with(&disk, &grown[..AT], &accounts)).unwrap_err();
    assert!(matches!(error, BeginError::Fault(CheckpointFault::WrongAccounts { .. })), "{error}");
}

/// Coinbases that wait are not among the accounts: each is proven by its own header.
#[test]
fn coinbases_that_wait_are_proven_by_their_headers() {
    let fields = farthing::params::ParamsFields::clone(farthing::Network::Dev.params());
    let params = Params::new(farthing::params::ParamsFields { reward_delay: 5, ..fields }).unwrap();
    let genesis = HeaderContext::genesis(&params);
    let coinbase = |height| Coinbase {
        height: Height::new(height),
        to: Address::from_bytes([height as u8; 32]),
        amount: farthing::Mites::new(height),
        tag: vec![],
    };
    let (disk, mut contexts, mut proven) = (MemDisk::new(), Vec::new(), Vec::new());
    disk.create_dir_all(&Path::new(DATA).join("checkpoints")).unwrap();
    for height in 1..=9 {
        let leaves = [coinbase(height).leaf(), Hash::from_bytes([7; 32])];
        let previous = contexts.last().map_or(genesis.id(), HeaderContext::id);
        let header = farthing::Header { previous, tx_root: farthing::merkle::tx_root(&leaves), ..*genesis.header() };
        contexts.push(HeaderContext::from_stored(header, Height::new(height), farthing::Work::new(height.into())));
        proven.push(ProvenCoinbase { coinbase: coinbase(height), path: tx_path(&leaves, 0).unwrap() });
    }
    let given = |proven: &[ProvenCoinbase]| {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let mut headers = HeaderFile::create(&disk, &Path::new(DATA).join("headers.part"), genesis).unwrap();
        headers.push(&contexts).unwrap();
        let mut pieces = Spool::create(&disk, &Path::new(DATA).join("checkpoints"), 0).unwrap();
        pieces.push(&encode_coinbases(proven)).unwrap();
        let layout = Layout::new(&params, Height::new(9), 0).unwrap();
        Beginning { headers, layout, pieces: Arc::new(pieces) }.coinbases()
    };
    let heights: Vec<_> = given(&proven[4..]).unwrap().iter().map(|coinbase| coinbase.height.get()).collect();
    assert_eq!(heights, [5, 6, 7, 8, 9]);
    let mut forged = proven[4..].to_vec();
    forged[2].coinbase.amount = farthing::Mites::new(5_000_000);
    let BeginError::Fault(fault) = given(&forged).unwrap_err() else { panic!("not a fault of the sender") };
    assert_eq!(fault.rule(), "R-CKP-09");
    let BeginError::Fault(fault) = given(&proven[3..8]).unwrap_err() else { panic!("not a fault of the sender") };
    assert_eq!(fault.rule(), "R-CKP-08");
}

/// How many changing operations beginning takes.
fn operations(grown: &[Grown]) -> u64 {
    let disk = MemDisk::new();
    let (store, _) = open(&disk);
    let beginning = beginning(&disk, grown);
    let before = disk.changes();
    store.begin_at(beginning).unwrap();
    disk.changes() - before
}

#[test]
fn a_power_cut_at_any_operation_leaves_genesis_or_the_whole_beginning() {
    let grown = blocks();
    let (below, above) = grown.split_at(AT);
    let all = operations(below);
    let (mut nothing, mut whole) = (0, 0);
    for survivors in [Survivors::OnlySynced, Survivors::Prefix, Survivors::AnySectors] {
        for nth in 1..=all {
            let disk = MemDisk::new();
            let (store, _) = open(&disk);
            let beginning = beginning(&disk, below);
            disk.inject(Fault { op: FaultOp::AnyChange, nth, error: FaultError::Io, lasting: true });
            let acknowledged = store.begin_at(beginning).is_ok();
            drop(store);
            disk.crash(survivors, nth);
            let what = format!("{survivors:?}, cut at operation {nth} of {all}");
            let (store, recovered) = open_with(&disk, options()).unwrap_or_else(|error| panic!("{what}: {error}"));
            let (store, view) = if store.base().is_some() {
                whole += 1;
                assert_recovered(&recovered, &below[AT - 1].view);
                (store, recovered.view)
            } else {
                nothing += 1;
                assert!(!acknowledged, "{what}");
                assert_recovered(&recovered, &ChainView::genesis(&dev()));
                assert!(!disk.exists(&Path::new(DATA).join("checkpoints/snap.download.generating")).unwrap(), "{what}");
                let begun =
                    store.begin_at(self::beginning(&disk, below)).unwrap_or_else(|error| panic!("{what}: {error}"));
                (store, begun)
            };
            assert_begun(store.as_ref(), below);
            assert_eq!(view.tip, below[AT - 1].context, "{what}");
            extend_all(store.as_ref(), &below[AT - 1].view, above);
            drop(store);
            let (store, recovered) = open(&disk);
            assert_recovered(&recovered, &grown[grown.len() - 1].view);
            assert_begun(store.as_ref(), below);
        }
    }
    assert!(nothing > 10 && whole > 0, "{nothing} {whole}");
}

#[test]
fn a_lost_beginning_is_named_and_what_to_do_about_it() {
    let grown = blocks();
    for gone in [BASE_HEADERS, "checkpoints"] {
        let disk = MemDisk::new();
        let (store, _) = begun(&disk, &grown[..AT]);
        drop(store);
        let path = Path::new(DATA).join(gone);
        let _ = disk.remove(&path).or_else(|_| disk.remove_dir_all(&path));
        let error = open_with(&disk, options()).unwrap_err();
        assert!(matches!(error, StoreError::BaseLost { .. }), "{gone}: {error}");
        assert!(error.to_string().contains("start again"), "{error}");
    }
    let disk = MemDisk::new();
    drop(begun(&disk, &grown[..AT]));
    // A bit of a header in the middle: the work, which only the file says.
    disk.corrupt(&Path::new(DATA).join(BASE_HEADERS), 5 * 134 + 120, 1).unwrap();
    let error = open_with(&disk, options()).unwrap_err();
    assert!(error.to_string().contains("header at height 6 is damaged"), "{error}");
}

#[test]
fn a_file_of_headers_is_checked_again_and_cut_where_it_ceases_to_be_a_chain() {
    let grown = blocks();
    let params = dev();
    let memory = MemDisk::new();
    memory.create_dir_all(Path::new(DATA)).unwrap();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let path = Path::new(DATA).join("headers.part");
    let now = grown[19].context.time();
    let write = || {
        let mut file = HeaderFile::create(&disk, &path, HeaderContext::genesis(&params)).unwrap();
        file.push(&grown.iter().map(|grown| grown.context).collect::<Vec<_>>()).unwrap();
    };
    write();
    let whole = HeaderFile::resume(&disk, &path, &params, now).unwrap();
    assert_eq!(*whole.tip(), grown[19].context);
    for (offset, good) in [(0, 0), (7 * 134 + 3, 7), (7 * 134 + 125, 7), (19 * 134 + 117, 19), (19 * 134, 19)] {
        write();
        memory.corrupt(&path, offset, 4).unwrap();
        let mut file = HeaderFile::resume(&disk, &path, &params, now).unwrap();
        assert_eq!(file.tip().height().get(), good, "byte {offset}");
        assert_eq!(disk.open_read(&path).unwrap().len().unwrap(), good * 134);
        let rest: Vec<_> = grown[good as usize..].iter().map(|grown| grown.context).collect();
        file.push(&rest).unwrap();
        assert_eq!(file.at(Height::new(15)).unwrap(), Some(grown[14].context));
        file.truncate(Height::new(3)).unwrap();
        assert_eq!((*file.tip(), file.at(Height::new(4)).unwrap()), (grown[2].context, None));
    }
    let file = disk.open(&path).unwrap();
    file.append(&[1; 50]).unwrap();
    assert_eq!(HeaderFile::resume(&disk, &path, &params, now).unwrap().tip().height().get(), 3, "a torn tail is cut");
}
