//! `tx prove`.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use farthing::{Header, Height, TransactionProof, TxId, chain_proof::ChainProof, transaction_proof::Anchor};
use serde::Serialize;

use super::verify_proof::ProvenView;
use crate::{
    client::{NodeClient, NodeError},
    context::Context,
    disk,
    error::Result,
    receipt::{MAX_LINKS, Receipt, ReceiptError, gapless_from, recipients},
};

/// How often the parts are asked for until all are for one tip.
const TRIES: usize = 10;

/// A receipt that was made, and what it proves.
#[derive(Serialize)]
struct Made {
    #[serde(flatten)]
    proven: ProvenView,
    /// Where it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<PathBuf>,
    /// The file itself, unless it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<String>,
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.path, &self.receipt) {
            (Some(path), _) => write!(f, "{}", path.display()),
            (None, receipt) => f.write_str(receipt.as_deref().unwrap_or_default()),
        }
    }
}

/// Fetches a receipt, checks it as whoever gets it will, and hands it over.
///
/// # Errors
/// [`ReceiptError`], and those of the node.
pub(super) fn run(context: &mut Context, id: &TxId, out: Option<&Path>) -> Result<()> {
    let client = context.connect()?;
    let receipt = fetch(context, &client, id)?;
    let proven = receipt.verify(context.settings.network(), SystemTime::now())?;
    let proven = ProvenView::new(context, &proven)?;
    let text = receipt.to_text();
    if let Some(out) = out {
        disk::create_private(out, text.as_bytes())?;
    }
    context.output.note(&proven);
    let (path, receipt) = if out.is_some() { (out.map(Path::to_owned), None) } else { (None, Some(text)) };
    Ok(context.output.data(&Made { proven, path, receipt })?)
}

/// All parts, for one tip.
fn fetch(context: &Context, client: &NodeClient, id: &TxId) -> Result<Receipt> {
    let genesis = *context.settings.network().genesis_id();
    for _ in 0..TRIES {
        // First what fails if there is nothing to prove.
        let transfer = client.transaction_proof(id).map_err(|error| of_proof(error, id))?;
        let tip = transfer.tip().id();
        let chain = client.chain_proof()?;
        if chain.tip.id() != tip {
            continue;
        }
        let Some(links) = links(client, &transfer, &chain)? else { continue };
        let recipients = recipients(&transfer.signed);
        let accounts = recipients.iter().map(|to| client.account_proof(to)).collect::<Result<Vec<_>, _>>()?;
        if accounts.iter().all(|account| account.header.id() == tip) {
            return Ok(Receipt::new(genesis, transfer, chain, links, accounts));
        }
    }
    Err(ReceiptError::Moving(TRIES).into())
}

/// The headers between the transfer's block and those that the chain's proof shows without gaps; none if the block left the chain.
fn links(client: &NodeClient, transfer: &TransactionProof, chain: &ChainProof) -> Result<Option<Vec<Header>>> {
    let height = match &transfer.anchor {
        Anchor::Tip { range, .. } => range.count,
        Anchor::Ancestor { ancestry, .. } => ancestry.index,
    };
    let first_shown = gapless_from(chain.count);
    let blocks = first_shown.saturating_sub(height).saturating_sub(1);
    if blocks == 0 {
        return Ok(Some(Vec::new()));
    }
    if blocks > MAX_LINKS {
        return Err(ReceiptError::TooDeep { blocks, most: MAX_LINKS }.into());
    }
    let last = Height::new(first_shown.saturating_sub(1));
    Ok(client.headers_between(Height::new(height), transfer.header.id(), last)?)
}

/// What it means that a transfer is not proven.
fn of_proof(error: NodeError, id: &TxId) -> crate::error::Error {
    match &error {
        NodeError::Refused { reason, .. } if reason == "TRANSACTION_NOT_MINED" => ReceiptError::NotMined(*id).into(),
        NodeError::Refused { reason, .. } if reason == "TRANSACTION_NOT_FOUND" => ReceiptError::Unknown(*id).into(),
        _ => error.into(),
    }
}
