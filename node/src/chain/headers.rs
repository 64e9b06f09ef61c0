//! Headers whose bodies are not here yet: a bounded tree in memory, never written to disk.
//!
//! Each belongs to the session that told of it first, and goes when that session ends: others tell of it again. When the
//! room is used up, whoever holds the most gives way, so that no peer can keep another one's branch out.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use farthing::{BlockId, Work};
use farthing_consensus::HeaderContext;

use super::SessionId;

/// Most headers that wait for bodies; about 400 bytes each.
const MAX_WAITING_HEADERS: usize = 10_000;
/// How many headers give way at once, at most.
const EVICTED_AT_ONCE: usize = 1_000;

/// What became of a list of headers.
#[derive(Debug, Clone)]
pub struct HeadersAccepted {
    /// The last header of the list.
    pub last: HeaderContext,
    /// Blocks on the way to `last` whose bodies are not here, the lowest first; at most the number asked for.
    pub missing_bodies: Vec<BlockId>,
}

#[derive(Debug)]
struct Waiting {
    context: HeaderContext,
    owner: SessionId,
}

/// Valid headers without bodies.
#[derive(Debug)]
pub(super) struct HeaderTree {
    most: usize,
    waiting: HashMap<BlockId, Waiting>,
    /// A child stands behind its parent.
    by_work: BTreeSet<(Work, BlockId)>,
    by_owner: BTreeMap<SessionId, BTreeSet<(Work, BlockId)>>,
}

impl Default for HeaderTree {
    fn default() -> Self {
        Self::new(MAX_WAITING_HEADERS)
    }
}

impl HeaderTree {
    fn new(most: usize) -> Self {
        Self { most, waiting: HashMap::new(), by_work: BTreeSet::new(), by_owner: BTreeMap::new() }
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
        let (_, id) = self.by_work.last()?;
        self.get(id)
    }

    /// Who told of the lowest waiting header below this one, or of it itself.
    pub(super) fn root_owner(&self, id: &BlockId) -> Option<SessionId> {
        let below = |waiting: &&Waiting| self.waiting.get(&waiting.context.header().previous);
        std::iter::successors(self.waiting.get(id), below).last().map(|root| root.owner)
    }

    /// Keeps a header. False if there is no room: neither left, nor to be had from a session that holds more than this
    /// one and on whose headers (`branch`) it does not stand.
    pub(super) fn insert(&mut self, context: HeaderContext, owner: SessionId, branch: Option<SessionId>) -> bool {
        if self.lacks_room(1) {
            self.make_room(owner, branch);
        }
        if self.lacks_room(1) {
            return false;
        }
        let key = (context.total_work(), context.id());
        self.by_work.insert(key);
        self.by_owner.entry(owner).or_default().insert(key);
        self.waiting.insert(context.id(), Waiting { context, owner });
        true
    }

    fn make_room(&mut self, owner: SessionId, branch: Option<SessionId>) {
        let own = self.by_owner.get(&owner).map_or(0, BTreeSet::len);
        let Some((largest, held)) = self.by_owner.iter().max_by_key(|(_, held)| held.len()) else { return };
        if *largest == owner || Some(*largest) == branch {
            return;
        }
        // Half of the difference: both then hold about as many, and neither gains by beginning anew.
        let evicted = (held.len().saturating_sub(own) / 2).min(EVICTED_AT_ONCE);
        let gone = held.iter().rev().take(evicted).map(|(_, id)| *id).collect();
        self.remove_with_children(gone);
    }

    pub(super) fn remove(&mut self, id: &BlockId) {
        if let Some(Waiting { context, owner }) = self.waiting.remove(id) {
            let key = (context.total_work(), *id);
            self.by_work.remove(&key);
            if let Some(held) = self.by_owner.get_mut(&owner) {
                held.remove(&key);
                if held.is_empty() {
                    self.by_owner.remove(&owner);
                }
            }
        }
    }

    /// Forgets every header that leads to nothing heavier than `tip`: its branch lost before its bodies came.
    pub(super) fn prune(&mut self, tip: Work) {
        let mut kept = HashSet::new();
        for (_, id) in self.by_work.range((tip, BlockId::ZERO)..) {
            let mut next = self.get(id);
            while let Some(context) = next.filter(|context| kept.insert(context.id())) {
                next = self.get(&context.header().previous);
            }
        }
        let gone: Vec<BlockId> = self.waiting.keys().filter(|id| !kept.contains(id)).copied().collect();
        for id in gone {
            self.remove(&id);
        }
    }

    /// Forgets what a session told of, and what others built on that.
    pub(super) fn remove_owner(&mut self, owner: SessionId) {
        let Some(held) = self.by_owner.get(&owner) else { return };
        let gone = held.iter().map(|(_, id)| *id).collect();
        self.remove_with_children(gone);
    }

    /// Forgets every header that stands on `id`, and `id` itself. Returns the ids, `id` last.
    pub(super) fn remove_branch(&mut self, id: BlockId) -> Vec<BlockId> {
        let mut gone = self.remove_with_children(HashSet::from([id]));
        gone.retain(|other| *other != id);
        gone.push(id);
        gone
    }

    /// One pass over all, however many there are to go.
    fn remove_with_children(&mut self, mut gone: HashSet<BlockId>) -> Vec<BlockId> {
        for (_, id) in &self.by_work {
            if self.get(id).is_some_and(|context| gone.contains(&context.header().previous)) {
                gone.insert(*id);
            }
        }
        let gone: Vec<BlockId> = gone.into_iter().collect();
        for id in &gone {
            self.remove(id);
        }
        gone
    }

    /// The waiting headers from the first behind a known body up to `last`, the lowest first.
    pub(super) fn path_to(&self, last: &BlockId) -> Vec<BlockId> {
        let mut path: Vec<BlockId> =
            std::iter::successors(self.get(last), |context| self.get(&context.header().previous))
                .map(HeaderContext::id)
                .collect();
        path.reverse();
        path
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
        let branch = headers.first().and_then(|first| tree.root_owner(&first.header().previous));
        let taken = headers.iter().take_while(|context| tree.insert(**context, owner, branch));
        let taken = taken.count();
        assert!(tree.len() <= tree.most);
        assert_eq!(tree.by_work.len(), tree.len());
        assert_eq!(tree.by_owner.values().map(BTreeSet::len).sum::<usize>(), tree.len());
        taken
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

    #[test]
    fn the_headers_of_a_session_go_with_it_and_those_of_others_stay() {
        let mut tree = HeaderTree::new(100);
        let (one, two) = (branch(30, 0), branch(20, 1));
        give(&mut tree, &one, ONE);
        give(&mut tree, &two, TWO);
        give(&mut tree, &branch_on(one[29], 5, 2), THREE);
        assert_eq!(tree.best().unwrap().height().get(), 35);
        tree.remove_owner(ONE);
        assert_eq!((tree.len(), tree.best().unwrap().id()), (20, two[19].id()));
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
        tree.prune(long[6].total_work());
        assert_eq!((tree.len(), tree.get(&short[4].id())), (9, None));
    }
}
