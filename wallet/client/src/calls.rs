//! Submitting and looking up, a method for each of the API's.

use farthing::{
    Account, Address, BlockId, Height, Mites, SignedTransaction, TxId,
    codec::Canonical as _,
    wire::{BlockSummary, TransactionStanding, TransactionStatus, WireError, v1},
};
use prost::Message as _;
use tonic::{Code, Status};

use crate::{
    answers::{AccountView, BlockRef, ChainBlock, Page, PageToken, TransactionView, Verdict},
    client::{Client, Needs},
    error::{Error, Refusal},
    pool::NodeSlot,
    read,
    text::{MAX_TEXT, printable},
    verify::{self, VerifyError},
};

/// A closure that sends a copy of the request at each attempt.
macro_rules! ask {
    ($method:ident, $request:expr) => {
        |mut service| {
            let request = $request.clone();
            async move { service.$method(request).await }
        }
    };
}
pub(crate) use ask;

impl Client {
    /// Hands in a transfer. It is on the node's disk once this returns; where it stands is on the node's word. The same
    /// bytes again are the same transfer: after an error that is not [definite](Error::is_definite), hand them in again
    /// rather than signing another one.
    ///
    /// # Errors
    /// [`Error`]; [`Error::refusal`] has the reason if the node gave one.
    pub async fn submit(&self, transfer: &SignedTransaction) -> Result<TransactionStatus, Error> {
        let bytes = transfer.to_canonical().into();
        let form = Some(v1::submit_transaction_request::Form::TransactionBytes(bytes));
        let request = v1::SubmitTransactionRequest { form };
        let id = self.id_of(transfer);
        self.call(Needs::Anyone, ask!(submit_transaction, request), |answer: v1::SubmitTransactionResponse, node| {
            status_of(answer.status, &id, node)
        })
        .await
    }

    /// Hands in up to 1,000 transfers of at most 1 MiB together; a verdict for each, in their order.
    ///
    /// # Errors
    /// [`Error`], when the batch as a whole was not looked at, or not answered.
    pub async fn submit_all(&self, transfers: &[SignedTransaction]) -> Result<Vec<Verdict>, Error> {
        let ids: Vec<_> = transfers.iter().map(|transfer| self.id_of(transfer)).collect();
        let transactions_bytes = transfers.iter().map(|transfer| transfer.to_canonical().into()).collect();
        let request = v1::SubmitTransactionsRequest { transactions_bytes };
        self.call(Needs::Anyone, ask!(submit_transactions, request), |answer: v1::SubmitTransactionsResponse, node| {
            if answer.results.len() != ids.len() {
                return Err(node.unproven(VerifyError::OtherAnswer {
                    found: format!("{} transfers", answer.results.len()),
                    expected: ids.len().to_string(),
                }));
            }
            answer.results.into_iter().zip(&ids).map(|(result, id)| verdict(result, id, node)).collect()
        })
        .await
    }

    /// Where a transaction stands. What is here is the transaction of that id; where it stands is on the node's word:
    /// only the proven history of its sender or a checked block shows that it was mined.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] if the node does not know it.
    pub async fn transaction(&self, id: &TxId) -> Result<TransactionView, Error> {
        let name = Some(v1::get_transaction_request::Id::TransactionId(id.to_bytes().to_vec().into()));
        let request = v1::GetTransactionRequest { id: name, read_mask: None };
        self.call(Needs::Tip, ask!(get_transaction, request), |answer: v1::GetTransactionResponse, node| {
            let status = status_of(answer.status, id, node)?;
            let transaction = answer
                .transaction
                .map(|view| read::transaction(self.network(), view, "transaction", node))
                .transpose()?;
            if let Some((found, _)) = transaction.as_ref().filter(|(found, _)| found != id) {
                return Err(other_answer(node, found, id));
            }
            Ok(TransactionView { status, transaction: transaction.map(|(_, signed)| signed) })
        })
        .await
    }

    /// An account at the tip. With [`crate::Trust::Verify`] its state is proven against a header with work, and so is that
    /// header's height; that it is on the chain with the most work is on the node's word, and so is what waits in the mempool.
    ///
    /// # Errors
    /// [`Error`]; [`Error::Unproven`] if the node states something else than it proves.
    pub async fn account(&self, address: &Address) -> Result<AccountView, Error> {
        let with_proof = self.verifies();
        let id = Some(v1::get_account_request::Id::Address(address.to_bytes().to_vec().into()));
        let request = v1::GetAccountRequest { id, with_proof };
        self.call(Needs::Tip, ask!(get_account, request), |answer: v1::GetAccountResponse, node| {
            self.read_account(address, answer, node)
        })
        .await
    }

    fn read_account(
        &self,
        address: &Address,
        answer: v1::GetAccountResponse,
        node: &NodeSlot,
    ) -> Result<AccountView, Error> {
        let proven = if self.verifies() {
            Some(verify::account(self.network(), address, &answer).map_err(|error| match error {
                VerifyError::Malformed(source) => node.malformed(source),
                other => node.unproven(other),
            })?)
        } else {
            None
        };
        if answer.address.as_ref() != address.as_bytes() {
            return Err(node.unproven(VerifyError::Contradiction("the address")));
        }
        let account = match (&proven, answer.account) {
            (Some(proven), _) => proven.account,
            (None, Some(account)) if answer.exists => {
                Some(Account::try_from(account).map_err(|error| node.malformed(error.within("account")))?)
            }
            (None, None) if answer.exists => return Err(node.malformed(WireError::missing("account"))),
            (None, _) => None,
        };
        Ok(AccountView {
            address: *address,
            account,
            proven,
            tip: node.read_tip(answer.tip)?,
            next_pending_nonce: answer.next_pending_nonce,
            pending_out: Mites::new(answer.pending_out_mites),
            pending_in: Mites::new(answer.pending_in_mites),
            immature: Mites::new(answer.immature_mites),
        })
    }

    /// A block. See [`ChainBlock`] for what was checked. By height, that it is on the best chain is on the node's word.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] if the node has no such block.
    pub async fn block(&self, which: BlockRef) -> Result<ChainBlock, Error> {
        let block = match which {
            BlockRef::Id(id) => v1::get_block_request::Block::BlockId(id.to_bytes().to_vec().into()),
            BlockRef::Height(height) => v1::get_block_request::Block::Height(height.get()),
        };
        let request = v1::GetBlockRequest { block: Some(block), read_mask: None };
        let needs = if matches!(which, BlockRef::Height(_)) { Needs::Tip } else { Needs::Anyone };
        self.call(needs, ask!(get_block, request), |answer: v1::GetBlockResponse, node| {
            let view = answer.block.ok_or_else(|| node.malformed(WireError::missing("block")))?;
            let found = read::block(self, view, node)?;
            match which {
                BlockRef::Id(id) if found.id() != id => Err(other_answer(node, &found.id(), &id)),
                BlockRef::Height(height) if found.height() != height => {
                    Err(node.unproven(VerifyError::BlockHeight { found: found.height(), expected: height }))
                }
                _ => Ok(found),
            }
        })
        .await
    }

    /// Blocks of the best chain, newest first, with their transactions: each is the parent of the one before it. At most
    /// `size` (up to 100; 0 for 20), fewer if they are large.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn list_blocks(&self, size: u32, page: Option<&PageToken>) -> Result<Page<ChainBlock>, Error> {
        let request = page_of_blocks(size, page, false);
        self.call(Needs::Tip, ask!(list_blocks, request), |answer: v1::ListBlocksResponse, node| {
            let entries = answer.blocks.into_iter().map(|view| read::block(self, view, node));
            let entries = entries.collect::<Result<Vec<_>, _>>()?;
            check_linked(entries.iter().map(|block| &block.summary), node)?;
            Ok(Page { entries, next: next(answer.next_page_token) })
        })
        .await
    }

    /// The same without transactions. Nothing ties the coinbase to the header then, and with it the height.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn list_headers(&self, size: u32, page: Option<&PageToken>) -> Result<Page<BlockSummary>, Error> {
        let request = page_of_blocks(size, page, true);
        self.call(Needs::Tip, ask!(list_blocks, request), |answer: v1::ListBlocksResponse, node| {
            let entries = answer.blocks.into_iter().map(|view| read::summary(self, &view, node));
            let entries = entries.collect::<Result<Vec<_>, _>>()?;
            check_linked(entries.iter(), node)?;
            Ok(Page { entries, next: next(answer.next_page_token) })
        })
        .await
    }

    pub(crate) fn id_of(&self, transfer: &SignedTransaction) -> TxId {
        transfer.transaction().id(self.network().genesis_id())
    }
}

fn page_of_blocks(page_size: u32, page: Option<&PageToken>, headers_only: bool) -> v1::ListBlocksRequest {
    v1::ListBlocksRequest { page_size, page_token: token(page), headers_only, read_mask: None }
}

/// The token to send.
pub(crate) fn token(page: Option<&PageToken>) -> String {
    page.map(|page| page.0.clone()).unwrap_or_default()
}

/// The token that came.
pub(crate) fn next(token: String) -> Option<PageToken> {
    (!token.is_empty()).then_some(PageToken(token))
}

/// Newest first, each is the parent of the one before it, one lower.
fn check_linked<'a>(mut blocks: impl Iterator<Item = &'a BlockSummary>, node: &NodeSlot) -> Result<(), Error> {
    let mut above: Option<(Height, BlockId)> = None;
    blocks.try_for_each(|block| match above.replace((block.height, block.header.previous)) {
        Some((height, parent)) if parent != block.id => {
            Err(node.unproven(VerifyError::Parent { height, found: parent, expected: block.id }))
        }
        Some((height, _)) if block.height.next() != height => {
            let expected = height.previous().unwrap_or(Height::GENESIS);
            Err(node.unproven(VerifyError::BlockHeight { found: block.height, expected }))
        }
        _ => Ok(()),
    })
}

pub(crate) fn other_answer(node: &NodeSlot, found: &impl ToString, expected: &impl ToString) -> Error {
    node.unproven(VerifyError::OtherAnswer { found: found.to_string(), expected: expected.to_string() })
}

pub(crate) fn status_of(
    status: Option<v1::TransactionStatus>,
    id: &TxId,
    node: &NodeSlot,
) -> Result<TransactionStatus, Error> {
    let mut status = status
        .ok_or_else(|| WireError::missing("status"))
        .and_then(|status| TransactionStatus::try_from(status).map_err(|error| error.within("status")))
        .map_err(|error| node.malformed(error))?;
    if let TransactionStanding::Dropped { reason, .. } = &mut status.standing {
        *reason = printable(reason, MAX_TEXT);
    }
    if status.id == *id { Ok(status) } else { Err(other_answer(node, &status.id, id)) }
}

/// A refusal that came inside of an answer.
pub(crate) fn refusal_of(error: tonic_types::pb::Status, node: &NodeSlot) -> Result<Box<Refusal>, Error> {
    let details = error.encode_to_vec().into();
    let status = Status::with_details(Code::from(error.code), error.message, details);
    match Error::from_status(&status, &node.url) {
        Error::Refused(refusal) => Ok(refusal),
        other => Err(other),
    }
}

fn verdict(result: v1::SubmitTransactionsResult, id: &TxId, node: &NodeSlot) -> Result<Verdict, Error> {
    match result.verdict {
        Some(v1::submit_transactions_result::Verdict::Status(status)) => Ok(Ok(status_of(Some(status), id, node)?)),
        Some(v1::submit_transactions_result::Verdict::Error(error)) => Ok(Err(refusal_of(error, node)?)),
        None => Err(node.malformed(WireError::missing("results.verdict"))),
    }
}
