//! Which bodies to fetch for a branch, asked again and again while they come.

use std::collections::VecDeque;

use farthing::BlockId;

use super::Chain;

/// The lowest blocks of the branch that are remembered; walking down a long branch for each body would cost more than
/// the body does.
const REMEMBERED: usize = 4_096;

/// The blocks on the way to a header whose bodies are not here.
#[derive(Debug)]
pub struct MissingBodies {
    chain: Chain,
    last: BlockId,
    /// The lowest, in order; some of the first may have come meanwhile.
    path: VecDeque<BlockId>,
    /// Whether there are more above.
    is_part: bool,
}

impl MissingBodies {
    pub(super) const fn new(chain: Chain, last: BlockId) -> Self {
        Self { chain, last, path: VecDeque::new(), is_part: true }
    }

    /// At most `max` of them as things are now, the lowest first. None once all are here, or once the headers are gone
    /// with the session that told of them.
    pub async fn lowest(&mut self, max: usize) -> Vec<BlockId> {
        self.forget_those_here();
        if self.is_part && self.path.len() < max {
            // A long branch takes a while to walk down. If the node stops there is nothing to fetch.
            let last = self.last;
            let path = self.chain.read(move |shared| Ok(shared.waiting_headers().path_to(&last)));
            self.path = path.await.unwrap_or_default().into();
            self.is_part = self.path.len() > REMEMBERED;
            self.path.truncate(REMEMBERED.max(max));
        }
        self.path.iter().take(max).copied().collect()
    }

    fn forget_those_here(&mut self) {
        let headers = self.chain.shared.waiting_headers();
        if headers.get(&self.last).is_none() {
            self.path.clear();
            return;
        }
        // The tree is whole: while the last waits, what of its path waits no longer has its body.
        while self.path.front().is_some_and(|id| headers.get(id).is_none()) {
            self.path.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        chain::{Origin, SessionId},
        testing::{TestChain, mine},
    };

    #[tokio::test]
    async fn what_is_missing_shrinks_as_bodies_come_and_is_nothing_once_the_headers_go() {
        let (source, target) = (TestChain::start(), TestChain::start());
        let mut blocks = Vec::new();
        for _ in 0..4_200 {
            let block = mine(source.chain.params(), &source.chain.view(), Vec::new(), 1);
            source.chain.submit_block(block.clone(), Origin::Mined).await.unwrap();
            blocks.push(block);
        }
        let ids: Vec<_> = blocks.iter().map(farthing::Block::id).collect();
        let session = SessionId::new(1);
        let headers = blocks.iter().map(|block| block.header).collect();
        let last = target.chain.accept_headers(headers, session).await.unwrap().last;
        let mut missing = target.chain.missing_bodies(last.id());
        assert_eq!(missing.lowest(10).await, ids[..10]);
        for (at, block) in blocks.into_iter().enumerate().take(4_195) {
            target.chain.submit_block(block, Origin::Local).await.unwrap();
            if at % 500 == 0 {
                assert_eq!(missing.lowest(10).await, ids[at + 1..at + 11]);
            }
        }
        assert_eq!(missing.lowest(10).await, ids[4_195..]);
        target.chain.forget_headers_of(session).await;
        assert!(missing.lowest(10).await.is_empty());
    }
}
