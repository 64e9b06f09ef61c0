//! Checking a block before its turn has come: what needs no state, and signatures whose keys are known, on all cores while
//! the writer is at work on the blocks before it.

use std::collections::HashMap;

use farthing::{Address, Block, PublicKey, Sender, VerifyingKey};
use farthing_consensus::{check_block_owned, check_signature};

use super::{Chain, handle::Shared, rejection::BlockRejection};

impl Chain {
    /// Checks a block by itself, and remembers the signatures in it that hold. Those of accounts whose key is not known
    /// yet are left to the time when the block is connected.
    ///
    /// # Errors
    /// A rule that the block breaks whatever stands before it; or the store failed.
    pub async fn preverify(&self, block: Block) -> Result<Block, BlockRejection> {
        let chain = self.clone();
        self.shared.env.compute().run_blocking(move || chain.shared.preverify(block)).await
    }
}

impl Shared {
    fn preverify(&self, block: Block) -> Result<Block, BlockRejection> {
        let id = block.id();
        // The body first: signatures of one that the header does not commit to are not worth a look.
        let (block, _) =
            check_block_owned(&self.params, block).map_err(|error| BlockRejection::Block { id, error })?.into_parts();
        let open: Vec<_> = block
            .transactions
            .iter()
            .enumerate()
            .filter(|(_, signed)| !self.verified.contains(&signed.wire_id()))
            .collect();
        let keys = self.known_keys(&block)?;
        let verdicts = self.env.compute().map(&open, |(_, signed)| {
            let key = keys.get(&signed.transaction().sender_address())?;
            Some(check_signature(&self.params, signed, key))
        });
        let mut good = Vec::with_capacity(open.len());
        for ((transaction, signed), verdict) in open.iter().zip(verdicts) {
            match verdict {
                Some(Ok(())) => good.push(signed.wire_id()),
                Some(Err(error)) => {
                    let (transaction, wire_id) = (*transaction, signed.wire_id());
                    return Err(BlockRejection::Signature { id, transaction, wire_id, error });
                }
                None => {}
            }
        }
        self.verified.insert_all(good);
        Ok(block)
    }

    /// Keys that the block carries, and those of accounts that have sent before.
    fn known_keys(&self, block: &Block) -> Result<HashMap<Address, VerifyingKey>, BlockRejection> {
        let view = self.view.borrow().clone();
        let carried: HashMap<Address, &PublicKey> = block
            .transactions
            .iter()
            .filter_map(|signed| match signed.transaction().sender() {
                Sender::Key(key) => Some((signed.transaction().sender_address(), key)),
                Sender::Address(_) => None,
            })
            .collect();
        let mut keys = HashMap::new();
        for signed in &block.transactions {
            let address = signed.transaction().sender_address();
            if keys.contains_key(&address) {
                continue;
            }
            let key = match carried.get(&address) {
                Some(key) => self.keys.parse(address, key),
                None => self.keys.of_account(&view, &*self.store, address)?,
            };
            keys.extend(key.map(|key| (address, key)));
        }
        Ok(keys)
    }
}
