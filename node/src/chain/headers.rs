//! Headers whose bodies are not here yet: a bounded tree in memory, never written to disk.
//!
//! Each belongs to the session that told of it first. When that session ends, it passes to another that told of it too,
//! or of what stands on it; only what nobody else told of goes. So nobody takes away what others gave by hanging up. When
//! the room is used up, whoever holds the most gives way, so that no peer can keep another one's branch out; but nothing
//! gives way that the newcomer stands on. So the tree is whole: what a header stands on waits as well, or has its body.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use farthing::{BlockId, Work};
use farthing_consensus::{HeaderContext, HeaderError};

use super::SessionId;

/// How many headers give way at once, at most.
const EVICTED_AT_ONCE: usize = 1_000;
/// How many go in one piece where all may go: others look into the tree between two pieces.
const AT_ONCE: usize = 64;

/// What became of a list of headers.
#[derive(Debug, Clone)]
pub struct HeadersAccepted {
    /// The last header of the list that is known now; the parent of the list's first if none is.
    pub last: HeaderContext,
    /// Why the rest is not: it may be asked for again later.
    pub put_off: Option<PutOff>,
}

/// Why headers that may be right are not kept for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutOff {
    /// There is no room, which comes as bodies come.
    NoRoom,
    /// They are ahead of this node's clock.
    AheadOfClock(HeaderError),
}

#[derive(Debug)]
struct Waiting {
    context: HeaderContext,
    owner: SessionId,
    /// One more session that told of it.
    second: Option<SessionId>,
}

impl Waiting {
    fn key(&self) -> (Work, BlockId) {
        (self.context.total_work(), self.context.id())
    }
}

/// Valid headers without bodies.
#[derive(Debug)]
pub(super) struct HeaderTree {
    most: usize,
    waiting: HashMap<BlockId, Waiting>,
    /// Parent and child, for each child that waits.
    children: BTreeSet<(BlockId, BlockId)>,
    /// Those that no other stands on. The one with the most work is among them.
    leaves: BTreeSet<(Work, BlockId)>,
    by_owner: BTreeMap<SessionId, BTreeSet<(Work, BlockId)>>,
    by_second: BTreeMap<SessionId, BTreeSet<BlockId>>,
}

impl HeaderTree {
    /// An empty tree for so many headers at most.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            waiting: HashMap::new(),
            children: BTreeSet::new(),
            leaves: BTreeSet::new(),
            by_owner: BTreeMap::new(),
            by_second: BTreeMap::new(),
        }
    }

    pub(super) fn get(&self, id: &BlockId) -> Option<&HeaderContext> {
        self.waiting.get(id).map(|waiting| &waiting.context)
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether there is no room for so many more.
    pub(super) fn lacks_room(&self, more: usize) -> bool {
        self.len() + more > self.most
    }

    /// The waiting header with the most work.
    pub(super) fn best(&self) -> Option<&HeaderContext> {
        let (_, id) = self.leaves.last()?;
        self.get(id)
    }

    /// Keeps a header whose parent waits or has its body. False if there is no room: neither left, nor to be had from a
    /// session that holds more than this one.
    pub(super) fn insert(&mut self, context: HeaderContext, owner: SessionId) -> bool {
        let (id, parent) = (context.id(), context.header().previous);
        if self.lacks_room(1) {
            self.make_room(owner, &parent);
        }
        if self.lacks_room(1) {
            return false;
        }
        if let Some(parent) = self.waiting.get(&parent) {
            self.leaves.remove(&parent.key());
        }
        let waiting = Waiting { context, owner, second: None };
        self.leaves.insert(waiting.key());
        self.by_owner.entry(owner).or_default().insert(waiting.key());
        self.children.insert((parent, id));
        self.waiting.insert(id, waiting);
        true
    }

    /// Another session tells of a header, if it waits.
    pub(super) fn told_again(&mut self, id: &BlockId, by: SessionId) {
        if let Some(waiting) = self.waiting.get_mut(id).filter(|known| known.owner != by && known.second.is_none()) {
            waiting.second = Some(by);
            self.by_second.entry(by).or_default().insert(*id);
        }
    }

    /// Takes from whoever holds the most, apart from what stands below the newcomer.
    fn make_room(&mut self, owner: SessionId, parent: &BlockId) {
        let below: HashSet<BlockId> = self.down_from(parent).map(HeaderContext::id).collect();
        let mut free: BTreeMap<SessionId, usize> =
            self.by_owner.iter().map(|(holder, held)| (*holder, held.len())).collect();
        let own = free.remove(&owner).unwrap_or(0);
        for waiting in below.iter().filter_map(|id| self.waiting.get(id)) {
            if let Some(free) = free.get_mut(&waiting.owner) {
                *free -= 1;
            }
        }
        let Some((largest, free)) = free.into_iter().max_by_key(|(_, free)| *free) else { return };
        // Half of the difference: both then hold about as many, and neither gains by beginning anew.
        let evicted = (free.saturating_sub(own) / 2).min(EVICTED_AT_ONCE);
        let held = self.by_owner.get(&largest).into_iter().flatten();
        let gone: Vec<_> = held.rev().map(|(_, id)| *id).filter(|id| !below.contains(id)).take(evicted).collect();
        for id in gone {
            self.remove_branch(id);
        }
    }

    pub(super) fn remove(&mut self, id: &BlockId) {
        let Some(waiting) = self.waiting.remove(id) else { return };
        let (key, parent) = (waiting.key(), waiting.context.header().previous);
        self.leaves.remove(&key);
        self.children.remove(&(parent, *id));
        if let Some(parent) = self.waiting.get(&parent)
            && self.children_of(&parent.context.id()).next().is_none()
        {
            self.leaves.insert(parent.key());
        }
        self.does_not_own(waiting.owner, &key);
        if let Some(second) = waiting.second {
            self.is_no_second(second, id);
        }
    }

    fn does_not_own(&mut self, session: SessionId, key: &(Work, BlockId)) {
        if let Some(held) = self.by_owner.get_mut(&session) {
            held.remove(key);
            if held.is_empty() {
                self.by_owner.remove(&session);
            }
        }
    }

    fn is_no_second(&mut self, session: SessionId, id: &BlockId) {
        if let Some(told) = self.by_second.get_mut(&session) {
            told.remove(id);
            if told.is_empty() {
                self.by_second.remove(&session);
            }
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.most);
    }

    /// Forgets headers that lead to nothing heavier than `tip`: their branch lost before its bodies came. A part of them at
    /// a time; true once none is left.
    pub(super) fn prune(&mut self, tip: Work) -> bool {
        for _ in 0..AT_ONCE {
            let Some((_, id)) = self.leaves.first().filter(|(work, _)| *work < tip).copied() else { return true };
            self.remove(&id);
        }
        false
    }

    /// A session is over: forgets what nobody else told of, nor of anything on top of it, and hands over the rest. A part of
    /// it at a time, so that nobody else waits long: true once nothing of the session is left.
    pub(super) fn remove_owner(&mut self, owner: SessionId) -> bool {
        let told: Vec<BlockId> = self.by_second.get(&owner).into_iter().flatten().take(AT_ONCE).copied().collect();
        for id in &told {
            self.is_no_second(owner, id);
            if let Some(waiting) = self.waiting.get_mut(id) {
                waiting.second = None;
            }
        }
        if !told.is_empty() {
            return false;
        }
        // From the top down, so that whatever still stands on one belongs to a session that lasts.
        let held: Vec<_> = self.by_owner.get(&owner).into_iter().flatten().rev().take(AT_ONCE).copied().collect();
        for (_, id) in &held {
            match self.heir(id) {
                Some(heir) => self.hand_over(id, heir),
                None => self.remove(id),
            }
        }
        held.is_empty()
    }

    /// Who told of a header beside its owner: by name, or of what stands on it.
    fn heir(&self, id: &BlockId) -> Option<SessionId> {
        let second = self.waiting.get(id)?.second;
        let above = || self.children_of(id).find_map(|child| self.waiting.get(&child).map(|child| child.owner));
        second.or_else(above)
    }

    fn hand_over(&mut self, id: &BlockId, heir: SessionId) {
        let Some(waiting) = self.waiting.get_mut(id) else { return };
        let owner = std::mem::replace(&mut waiting.owner, heir);
        let (key, second) = (waiting.key(), waiting.second.take());
        self.does_not_own(owner, &key);
        self.by_owner.entry(heir).or_default().insert(key);
        if let Some(second) = second {
            self.is_no_second(second, id);
        }
    }

    /// Forgets every header that stands on `id`, and `id` itself. Returns the ids, `id` last.
    pub(super) fn remove_branch(&mut self, id: BlockId) -> Vec<BlockId> {
        let mut gone = vec![id];
        let mut at = 0;
        while let Some(parent) = gone.get(at).copied() {
            gone.extend(self.children_of(&parent));
            at += 1;
        }
        gone.reverse();
        for id in &gone {
            self.remove(id);
        }
        gone
    }

    /// The waiting headers from the first behind a known body up to `last`, the lowest first.
    pub(super) fn path_to(&self, last: &BlockId) -> Vec<BlockId> {
        let mut path: Vec<BlockId> = self.down_from(last).map(HeaderContext::id).collect();
        path.reverse();
        path
    }

    /// A waiting header, what it stands on, and so on.
    pub(super) fn down_from(&self, id: &BlockId) -> impl Iterator<Item = &HeaderContext> {
        std::iter::successors(self.get(id), |context| self.get(&context.header().previous))
    }

    fn children_of(&self, id: &BlockId) -> impl Iterator<Item = BlockId> {
        let parent = *id;
        self.children.range((parent, BlockId::ZERO)..).take_while(move |(of, _)| *of == parent).map(|(_, child)| *child)
    }
}

#[cfg(test)]
mod tests {
    use farthing::{Block, TimeMs};
    use farthing_consensus::check_header;

    use super::*;
    use crate::testing::{dev, mine, solve};

    const ONE: SessionId = SessionId::new(1);
    const TWO: SessionId = SessionId::new(2);
    const THREE: SessionId = SessionId::new(3);

    /// Headers on genesis, each the child of the one before. Their bodies would not be valid, which nobody looks at.
    fn branch(len: usize, mark: u64) -> Vec<HeaderContext> {
        branch_on(HeaderContext::genesis(&dev()), len, mark)
    }

    fn branch_on(mut parent: HeaderContext, len: usize, mark: u64) -> Vec<HeaderContext> {
        let params = dev();
        let template = mine(&params, &crate::ledger::ChainView::genesis(&params), Vec::new(), 1);
        let mut grown = Vec::new();
        for _ in 0..len {
            let mut header = template.header;
            header.previous = parent.id();
            header.time = TimeMs::new(parent.header().time.get() + 1 + mark);
            let header = solve(Block { header, ..template.clone() }).header;
            parent = check_header(&params, &parent, &header, header.time).unwrap();
            grown.push(parent);
        }
        grown
    }

    fn give(tree: &mut HeaderTree, headers: &[HeaderContext], owner: SessionId) -> usize {
        let taken = headers.iter().take_while(|context| tree.insert(**context, owner)).count();
        assert_whole(tree);
        taken
    }

    /// Nothing hangs in the air, and the indexes say what is there.
    fn assert_whole(tree: &HeaderTree) {
        assert!(tree.len() <= tree.most);
        assert_eq!(tree.children.len(), tree.len());
        assert_eq!(tree.by_owner.values().map(BTreeSet::len).sum::<usize>(), tree.len());
        for (id, waiting) in &tree.waiting {
            assert!(tree.by_owner[&waiting.owner].contains(&waiting.key()));
            assert!(
                waiting.second.is_none_or(|second| second != waiting.owner && tree.by_second[&second].contains(id))
            );
        }
        let seconds = tree.waiting.values().filter(|waiting| waiting.second.is_some()).count();
        assert_eq!(tree.by_second.values().map(BTreeSet::len).sum::<usize>(), seconds);
        let parents: HashSet<BlockId> = tree.children.iter().map(|(parent, _)| *parent).collect();
        let leaves: BTreeSet<_> =
            tree.waiting.values().filter(|w| !parents.contains(&w.context.id())).map(Waiting::key).collect();
        assert_eq!(tree.leaves, leaves);
        let lowest = tree.waiting.values().filter(|w| tree.get(&w.context.header().previous).is_none());
        // In these tests nothing has its body but genesis.
        assert!(lowest.map(|w| w.context.header().previous).all(|parent| parent == *dev().genesis_id()));
        let best = tree.waiting.values().map(Waiting::key).max();
        assert_eq!(tree.best().map(|best| (best.total_work(), best.id())), best);
    }

    #[test]
    fn a_session_that_fills_the_tree_cannot_keep_anothers_branch_out() {
        let mut tree = HeaderTree::new(100);
        assert_eq!(give(&mut tree, &branch(150, 0), ONE), 100);
        let honest = branch(80, 1);
        let taken = give(&mut tree, &honest, TWO);
        assert!(taken >= 40, "{taken}");
        assert_eq!(tree.path_to(&honest[taken - 1].id()).len(), taken, "the branch hangs together");
        let third = branch(80, 2);
        let taken = give(&mut tree, &third, THREE);
        assert!(taken >= 20, "{taken}");
        assert_eq!(tree.path_to(&third[taken - 1].id()).len(), taken);
    }

    #[test]
    fn whoever_stands_on_anothers_headers_does_not_push_them_out() {
        let mut tree = HeaderTree::new(100);
        let base = branch(100, 0);
        assert_eq!(give(&mut tree, &base, ONE), 100);
        let more = branch_on(base[99], 10, 1);
        assert_eq!(give(&mut tree, &more, TWO), 0, "the bodies of the branch make room");
        assert_eq!(tree.path_to(&base[99].id()).len(), 100);
    }

    /// One chain told of in parts by several sessions: what one told of must not be taken from under the others.
    #[test]
    fn several_that_tell_of_one_chain_do_not_push_out_what_the_others_stand_on() {
        let mut tree = HeaderTree::new(100);
        let chain = branch(140, 0);
        assert_eq!(give(&mut tree, &chain[..20], ONE), 20);
        assert_eq!(give(&mut tree, &chain[20..100], TWO), 80);
        assert_eq!(give(&mut tree, &chain[100..120], ONE), 0, "all that waits is below them");
        // A third one's branch gets its share, and then the chain gets back to it, as far as there is room.
        let other = branch(30, 1);
        assert_eq!(give(&mut tree, &other, THREE), 30);
        let rest = tree.path_to(&tree.best().unwrap().id()).len();
        assert!((60..=70).contains(&rest), "{rest}");
        assert_eq!(give(&mut tree, &chain[rest..100], ONE), 100 - 30 - rest);
        // As bodies come, the rest of the chain does.
        for known in &chain[..40] {
            tree.remove(&known.id());
        }
        let taken = chain[70..].iter().take_while(|context| tree.insert(**context, ONE)).count();
        assert_eq!(taken, 40);
        assert_eq!(tree.path_to(&chain[109].id()).len(), 70);
    }

    #[test]
    fn the_headers_of_a_session_go_with_it_and_those_of_others_stay() {
        let mut tree = HeaderTree::new(100);
        let (one, two) = (branch(30, 0), branch(20, 1));
        give(&mut tree, &one, ONE);
        give(&mut tree, &two, TWO);
        assert_eq!(tree.best().unwrap().height().get(), 30);
        while !tree.remove_owner(ONE) {
            assert_whole(&tree);
        }
        assert_whole(&tree);
        assert_eq!((tree.len(), tree.best().unwrap().id()), (20, two[19].id()));
    }

    #[test]
    fn what_others_stand_on_passes_to_them_when_a_session_ends() {
        let mut tree = HeaderTree::new(100);
        let base = branch(30, 0);
        let (left, right) = (branch_on(base[19], 5, 1), branch_on(base[9], 5, 2));
        give(&mut tree, &base, ONE);
        give(&mut tree, &left, TWO);
        give(&mut tree, &right, THREE);
        while !tree.remove_owner(ONE) {
            assert_whole(&tree);
        }
        assert_whole(&tree);
        // The ten that nobody stood on are gone.
        assert_eq!((tree.len(), tree.best().unwrap().id()), (30, left[4].id()));
        while !tree.remove_owner(TWO) {
            assert_whole(&tree);
        }
        assert_whole(&tree);
        assert_eq!((tree.len(), tree.best().unwrap().id()), (15, right[4].id()));
        while !tree.remove_owner(THREE) {
            assert_whole(&tree);
        }
        assert_eq!(tree.len(), 0);
    }

    #[test]
    fn what_two_told_of_goes_with_the_second_of_them() {
        let mut tree = HeaderTree::new(100);
        let chain = branch(30, 0);
        give(&mut tree, &chain, ONE);
        for header in &chain[..20] {
            tree.told_again(&header.id(), TWO);
            tree.told_again(&header.id(), THREE);
            tree.told_again(&header.id(), ONE);
        }
        assert_whole(&tree);
        while !tree.remove_owner(ONE) {
            assert_whole(&tree);
        }
        assert_whole(&tree);
        assert_eq!(tree.len(), 20);
        // One that has left inherits nothing.
        tree.told_again(&chain[0].id(), THREE);
        while !tree.remove_owner(THREE) {
            assert_whole(&tree);
        }
        while !tree.remove_owner(TWO) {
            assert_whole(&tree);
        }
        assert_whole(&tree);
        assert_eq!((tree.len(), tree.by_second.len()), (0, 0));
    }

    #[test]
    fn an_invalid_block_takes_what_stands_on_it_along_and_is_named_last() {
        let mut tree = HeaderTree::new(1_000);
        let base = branch(10, 0);
        let (left, right) = (branch_on(base[4], 20, 1), branch_on(base[9], 20, 2));
        for part in [&base, &left, &right] {
            give(&mut tree, part, ONE);
        }
        let gone = tree.remove_branch(base[5].id());
        assert_eq!((gone.len(), gone.last()), (25, Some(&base[5].id())));
        assert_eq!(tree.len(), 25);
        assert_eq!(tree.path_to(&left[19].id()).len(), 25);
        // One whose body is here is not among those that wait; what stands on it goes all the same.
        let genesis = *dev().genesis_id();
        assert_eq!(tree.remove_branch(genesis).len(), 26);
        assert_eq!(tree.len(), 0);
    }

    #[test]
    fn branches_that_lost_are_pruned() {
        let mut tree = HeaderTree::new(1_000);
        let (short, long) = (branch(5, 0), branch(9, 1));
        give(&mut tree, &short, ONE);
        give(&mut tree, &long, TWO);
        assert!(tree.prune(long[6].total_work()));
        assert_eq!((tree.len(), tree.get(&short[4].id())), (9, None));
        assert_whole(&tree);
    }
}
