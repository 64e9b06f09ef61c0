//! Branches of headers that sessions show, and which of them is the heaviest.

use super::*;
use crate::{
    env::MemDisk,
    store::HeaderFile,
    testing::{TestChain, dev, mine, solve},
};

const fn chosen(id: u64) -> Asker {
    Asker { session: SessionId::new(id), is_chosen: true }
}

const ONE: Asker = chosen(1);
const TWO: Asker = chosen(2);
const THREE: Asker = chosen(3);
const FOUR: Asker = chosen(4);

fn there() -> BTreeSet<SessionId> {
    (0..100).map(SessionId::new).collect()
}

fn ask(headers: &mut Headers, asker: Asker) -> Asked {
    headers.locator(asker.session, &there()).unwrap()
}

fn branch(parent: HeaderContext, len: usize, mark: u64) -> Vec<HeaderContext> {
    let params = dev();
    let template = mine(&params, &crate::ledger::ChainView::genesis(&params), Vec::new(), 1);
    let (mut last, mut grown) = (parent, Vec::new());
    for _ in 0..len {
        let mut header = template.header;
        header.previous = last.id();
        header.time = TimeMs::new(last.time().get() + 1 + mark);
        let header = solve(farthing::Block { header, ..template.clone() }).header;
        last = check_header(&params, &last, &header, header.time).unwrap();
        grown.push(last);
    }
    grown
}

fn of(contexts: &[HeaderContext]) -> Vec<Header> {
    contexts.iter().map(|context| *context.header()).collect()
}

fn empty(disk: &MemDisk) -> Headers {
    let params = dev();
    disk.create_dir_all(Path::new("/data")).unwrap();
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let genesis = HeaderContext::genesis(&params);
    let main = HeaderFile::create(&disk, Path::new("/data/headers.part"), genesis).unwrap();
    let (data_dir, challengers) = (PathBuf::from("/data"), Vec::new());
    Headers { disk, data_dir, main: Some(main), lent: None, challengers, genesis, reserve_bytes: 0 }
}

fn now() -> TimeMs {
    dev().genesis_time.saturating_add(86_400_000)
}

fn ask_and_take(headers: &mut Headers, session: Asker, all: &[HeaderContext]) -> Result<bool, HeaderRejection> {
    let asked = ask(headers, session);
    // As an honest peer answers: behind the first id that is on its branch.
    let known = |id: &BlockId| all.iter().position(|context| context.id() == *id).map(|at| at + 1);
    let from = asked.ids().iter().find_map(known).unwrap_or(0);
    headers.take(&dev(), now(), session, &asked, &of(&all[from..(from + 7).min(all.len())]))
}

#[test]
fn a_heavier_branch_takes_the_place_of_the_lighter_however_deep_it_forks_and_a_lighter_one_does_not() {
    let disk = MemDisk::new();
    let mut headers = empty(&disk);
    let genesis = HeaderContext::genesis(&dev());
    let old = branch(genesis, 40, 0);
    while headers.best() != old[39] {
        assert!(ask_and_take(&mut headers, ONE, &old).unwrap());
    }
    let fork = 5;
    let longer: Vec<_> = old[..fork].iter().copied().chain(branch(old[fork - 1], 60, 1)).collect();
    let shorter: Vec<_> = old[..30].iter().copied().chain(branch(old[29], 5, 2)).collect();
    for _ in 0..10 {
        let _ = ask_and_take(&mut headers, TWO, &shorter).unwrap();
    }
    assert_eq!(headers.best(), old[39], "less work");
    let mut rounds = 0;
    while headers.best() != longer[64] {
        ask_and_take(&mut headers, TWO, &longer).unwrap();
        rounds += 1;
        assert!(rounds < 30);
    }
    assert_eq!(headers.at(Height::new(5)).unwrap(), Some(longer[4]));
    assert_eq!(headers.at(Height::new(40)).unwrap(), Some(longer[39]));
    assert!(!ask_and_take(&mut headers, ONE, &old).is_ok_and(|moved| moved && headers.best() == old[39]));
}

#[test]
fn what_a_session_has_brought_of_a_heavier_branch_no_other_session_takes_away() {
    let disk = MemDisk::new();
    let mut headers = empty(&disk);
    let genesis = HeaderContext::genesis(&dev());
    let light = branch(genesis, 40, 0);
    while headers.best() != light[39] {
        assert!(ask_and_take(&mut headers, ONE, &light).unwrap());
    }
    let heavy = branch(genesis, 60, 1);
    let aside = branch(genesis, 1, 2);
    // No session has time for enough of it in one turn, and one that only forks off has its turn between them.
    for _ in 0..3 {
        for session in [TWO, THREE] {
            for _ in 0..3 {
                let _ = ask_and_take(&mut headers, session, &heavy).unwrap();
            }
            let _ = ask_and_take(&mut headers, FOUR, &aside);
        }
    }
    assert_eq!(headers.best(), heavy[59]);
}

#[test]
fn an_answer_to_what_was_asked_on_a_branch_that_was_left_meanwhile_is_nobodys_fault_and_not_taken() {
    let disk = MemDisk::new();
    let mut headers = empty(&disk);
    let genesis = HeaderContext::genesis(&dev());
    let (old, heavier) = (branch(genesis, 20, 0), branch(genesis, 20, 1));
    let asked = ask(&mut headers, ONE);
    headers.take(&dev(), now(), ONE, &asked, &of(&old[..10])).unwrap();
    let slow = ask(&mut headers, ONE);
    let asked = ask(&mut headers, TWO);
    headers.take(&dev(), now(), TWO, &asked, &of(&heavier)).unwrap();
    assert_eq!(headers.best(), heavier[19]);
    let late = headers.take(&dev(), now(), ONE, &slow, &of(&old[10..])).unwrap_err();
    assert!(matches!(late, HeaderRejection::Orphan { missing } if missing == old[9].id()), "{late}");
    assert_eq!(headers.best(), heavier[19]);
}

#[test]
fn a_header_that_breaks_a_rule_is_refused_and_those_before_it_stay() {
    let disk = MemDisk::new();
    let mut headers = empty(&disk);
    let good = branch(HeaderContext::genesis(&dev()), 6, 0);
    let mut bad = of(&good);
    while bad[4].has_work() {
        bad[4].nonce += 1;
    }
    let asked = ask(&mut headers, ONE);
    let error = headers.take(&dev(), now(), ONE, &asked, &bad).unwrap_err();
    assert!(matches!(error, HeaderRejection::Invalid { at: 4, .. }), "{error}");
    assert_eq!(headers.best(), good[3]);
}

#[test]
fn no_more_headers_are_kept_than_twice_what_the_schedule_allows() {
    let params = dev();
    let hour = params.genesis_time.saturating_add(3_600_000);
    assert_eq!(most_headers(&params, hour), 2 * 1_800 + SPARE);
    let disk = MemDisk::new();
    let headers = empty(&disk);
    let good = branch(HeaderContext::genesis(&params), 6, 0);
    let mut file = headers.main.unwrap();
    let error = extend(&mut file, &params, now(), 4, &of(&good)).unwrap_err();
    assert!(matches!(error, HeaderRejection::Full(4)), "{error}");
    assert_eq!(*file.tip(), good[3]);
}

#[tokio::test]
async fn headers_of_an_earlier_run_are_gone_on_with() {
    let chain = TestChain::start();
    let memory = MemDisk::new();
    let mut headers = empty(&memory);
    let good = branch(HeaderContext::genesis(&dev()), 6, 0);
    let asked = ask(&mut headers, ONE);
    headers.take(&dev(), now(), ONE, &asked, &of(&good)).unwrap();
    drop(headers);
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let resumed = Headers::resume(&chain.chain, &disk, Path::new("/data"), 0).unwrap();
    assert_eq!(resumed.best(), good[5]);
    memory.rename(Path::new("/data/headers.part"), Path::new("/data/headers.base")).unwrap();
    let resumed = Headers::resume(&chain.chain, &disk, Path::new("/data"), 0).unwrap();
    assert_eq!(resumed.best(), good[5], "the last step of an earlier run was never done");
}

/// Turns of a session in which it is asked until it has no more.
fn shows(headers: &mut Headers, asker: Asker, all: &[HeaderContext]) {
    for _ in 0..all.len() {
        let _ = ask_and_take(headers, asker, all);
    }
}

#[test]
fn strangers_take_the_room_for_branches_from_each_other_only_and_the_least_work_goes() {
    let disk = MemDisk::new();
    let mut headers = empty(&disk);
    let genesis = HeaderContext::genesis(&dev());
    let best = branch(genesis, 40, 0);
    shows(&mut headers, ONE, &best);
    let mine = branch(genesis, 14, 1);
    shows(&mut headers, TWO, &mine);
    let stranger = |id| Asker { is_chosen: false, ..chosen(id) };
    let theirs: Vec<_> = (0..5).map(|mark| branch(genesis, 3 + mark, 10 + mark as u64)).collect();
    for (id, branch) in (20..).zip(&theirs) {
        shows(&mut headers, stranger(id), branch);
    }
    assert_eq!(headers.tip_of(TWO.session), mine[13], "not even one header is enough to keep it");
    let kept = [20, 21, 22, 23, 24].map(|id| headers.own(SessionId::new(id)).is_some());
    assert_eq!(kept, [false, false, false, true, true]);
    // Nor do many of this node's choice without work.
    for id in 30..50 {
        shows(&mut headers, chosen(id), &theirs[0]);
    }
    assert_eq!(headers.tip_of(TWO.session), mine[13]);
    assert_eq!(headers.challengers.len(), MAX_BRANCHES);
    assert!((0..MAX_BRANCHES).all(|slot| disk.exists(&challenger_path(Path::new("/data"), slot)).unwrap()));
    // Whoever has left needs none.
    headers.locator(TWO.session, &BTreeSet::from([TWO.session])).unwrap();
    assert_eq!(headers.challengers.len(), 1);
    headers.close();
    assert_eq!(disk.list(Path::new("/data")).unwrap().len(), 0);
}

#[test]
fn a_session_that_changes_to_another_branch_goes_on_from_where_they_part() {
    let disk = MemDisk::new();
    let mut headers = empty(&disk);
    let genesis = HeaderContext::genesis(&dev());
    let best = branch(genesis, 40, 0);
    shows(&mut headers, ONE, &best);
    let first = branch(genesis, 30, 1);
    shows(&mut headers, TWO, &first);
    assert_eq!(headers.tip_of(TWO.session), first[29]);
    let second: Vec<_> = first[..28].iter().copied().chain(branch(first[27], 20, 2)).collect();
    assert!(ask_and_take(&mut headers, TWO, &second).unwrap());
    assert_eq!(headers.tip_of(TWO.session), second[34], "seven more behind the 28th");
    // And to the heaviest one.
    let longer: Vec<_> = best.iter().copied().chain(branch(best[39], 10, 3)).collect();
    shows(&mut headers, TWO, &longer);
    assert_eq!((headers.best(), headers.tip_of(TWO.session)), (longer[49], longer[49]));
}

/// Otherwise whoever has a heavy branch could take away what another one brings of a heavier one, by a fork near its tip.
#[test]
fn a_branch_that_becomes_the_heaviest_leaves_those_that_fork_off_below() {
    let disk = MemDisk::new();
    let mut headers = empty(&disk);
    let genesis = HeaderContext::genesis(&dev());
    let best = branch(genesis, 40, 0);
    shows(&mut headers, ONE, &best);
    let (low, high) = (branch(genesis, 20, 1), branch(best[38], 1, 2));
    shows(&mut headers, TWO, &low);
    shows(&mut headers, THREE, &best[..39].iter().copied().chain(high).collect::<Vec<_>>());
    assert!(headers.own(THREE.session).is_some());
    let other: Vec<_> = best[..35].iter().copied().chain(branch(best[34], 6, 3)).collect();
    shows(&mut headers, FOUR, &other);
    assert_eq!(headers.best(), other[40]);
    assert_eq!(headers.tip_of(TWO.session), low[19]);
    assert!(headers.own(THREE.session).is_none(), "what it forked off from is gone");
}
