//! A receipt: one file that proves a payment to whoever has the network's parameters, with no node and no trust in who
//! made it.
//!
//! It holds the signed transfer and its place in a block (path and header), that block's place below a tip (ancestry in
//! the range of headers), the work from genesis up to that tip (the sampled chain proof), the headers from the block up to those that
//! this proof shows without gaps, and each recipient's account at the tip. All of it leads to one header, the tip's; and as that one
//! header could be made for a false receipt, the headers between say what it takes to undo the payment, each worked for and naming the
//! one before it. The [armour](crate::armor) makes any change show; and whoever makes
//! a new checksum over something else must still find a chain with that much work.

mod error;
#[cfg(test)]
mod tests;

use std::{path::Path, time::SystemTime};

use farthing::{
    Account, Address, BlockId, Header, Height, Params, SignedTransaction, Target, TransactionProof, TxId, Work,
    chain_proof::{ChainProof, SAMPLES_PER_HALVING, tail_start},
    codec::{Canonical as _, Reader, put_bytes},
    header::HEADER_BYTES,
    merkle::{Side, path_shape},
    transaction_proof::{Anchor, ProvenTransaction},
    wire::{AnchoredProof, WireError, v1},
};
use farthing_consensus::{HeaderContext, check_header, check_header_alone, verify_chain_proof};
use prost::Message;

pub use self::error::ReceiptError;
use crate::{armor::Kind, disk, light, transfer_file::network_name};

/// What its first line says.
pub const KIND: Kind = Kind { label: "RECEIPT", version: 1 };
/// Longest file: the longest answers of a node and the most headers, in base64.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;
/// Most headers between the block and those of the chain's proof: a month's, on the public networks.
pub const MAX_LINKS: u64 = 262_144;
/// What does not fit if headers are missing between the block and the chain's proof, or are too many.
const LINKS: &str = "the transfer's block, the headers above it and the chain's proof";
/// What does not fit if the sums differ.
const WORK: &str = "the work before the transfer's block and the chain's";
/// Longest part of it.
const MAX_PART_BYTES: usize = 8 * 1024 * 1024;

/// Everything that proves a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    genesis: BlockId,
    /// The transfer, its place in a block, and the block's below the tip.
    transfer: TransactionProof,
    /// The work up to the tip.
    chain: ChainProof,
    /// The headers above the transfer's block and below those that the chain's proof shows without gaps.
    links: Vec<Header>,
    /// Of each recipient, in the order of [`recipients`].
    accounts: Vec<AnchoredProof>,
}

/// What a receipt proves.
#[derive(Debug, Clone)]
pub struct Proven {
    /// The transfer.
    pub transfer: SignedTransaction,
    /// Its id.
    pub id: TxId,
    /// Where it stands.
    pub place: ProvenTransaction,
    /// Header of its block.
    pub header: Header,
    /// The last header that the receipt leads to.
    pub tip: Header,
    /// Work of the whole chain up to the tip.
    pub total_work: Work,
    /// Work of the transfer's block and all above it: what it would take to undo the payment.
    pub work_since: Work,
    /// Headers whose own work was looked at.
    pub headers_checked: usize,
    /// How likely a chain passes of which at most half was worked for: one in two to this power; none if every header
    /// was looked at, which leaves nothing to chance.
    pub error_bits: Option<u32>,
    /// Each recipient's account at the tip; none if it does not exist.
    pub recipients: Vec<(Address, Option<Account>)>,
}

/// The recipients of a transfer, each once, in the order of their addresses.
#[must_use]
pub fn recipients(transfer: &SignedTransaction) -> Vec<Address> {
    let mut recipients: Vec<Address> = transfer.transaction().outputs().iter().map(|output| output.to).collect();
    recipients.sort_unstable();
    recipients.dedup();
    recipients
}

impl Receipt {
    /// Puts together what a node proved. Whether it fits is for [`Receipt::verify`].
    #[must_use]
    pub const fn new(
        genesis: BlockId,
        transfer: TransactionProof,
        chain: ChainProof,
        links: Vec<Header>,
        accounts: Vec<AnchoredProof>,
    ) -> Self {
        Self { genesis, transfer, chain, links, accounts }
    }

    /// Reads a file, or what comes through a pipe.
    ///
    /// # Errors
    /// [`ReceiptError::Disk`], [`ReceiptError::Armor`], [`ReceiptError::Content`].
    pub fn read(path: &Path) -> Result<Self, ReceiptError> {
        let text = disk::read_public(path, MAX_FILE_BYTES)?;
        let bytes = KIND.unwrap(&text).map_err(|source| ReceiptError::Armor { path: path.to_owned(), source })?;
        Self::decode(&bytes).map_err(|reason| ReceiptError::Content { path: path.to_owned(), reason })
    }

    /// The file's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        KIND.wrap(&self.encode())
    }

    /// In canonical encoding: genesis id, then the messages of the public API, each behind its count of bytes.
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.genesis.encode(&mut out);
        put_bytes(&mut out, &v1::TransactionProof::from(&self.transfer).encode_to_vec());
        put_bytes(&mut out, &v1::ChainProof::from(&self.chain).encode_to_vec());
        let mut links = Vec::with_capacity(self.links.len() * HEADER_BYTES);
        self.links.iter().for_each(|header| header.encode(&mut links));
        put_bytes(&mut out, &links);
        for account in &self.accounts {
            put_bytes(&mut out, &v1::AccountProof::from(account).encode_to_vec());
        }
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self, String> {
        let mut reader = Reader::new(bytes);
        let genesis = BlockId::decode(&mut reader).map_err(|error| error.to_string())?;
        let transfer: TransactionProof = part::<v1::TransactionProof, _>(&mut reader, "transfer")?;
        let chain = part::<v1::ChainProof, _>(&mut reader, "chain")?;
        let links = headers(&mut reader)?;
        let mut accounts = Vec::new();
        for _ in recipients(&transfer.signed) {
            accounts.push(part::<v1::AccountProof, _>(&mut reader, "account")?);
        }
        reader.finish().map_err(|error| error.to_string())?;
        let receipt = Self { genesis, transfer, chain, links, accounts };
        // Protobuf has several encodings of the same; a receipt has one.
        if receipt.encode() == bytes { Ok(receipt) } else { Err("it is not encoded as receipts are".to_owned()) }
    }

    /// Checks everything, by this machine's clock `now`.
    ///
    /// # Errors
    /// The first thing that does not hold; see [`ReceiptError`].
    pub fn verify(&self, network: &Params, now: SystemTime) -> Result<Proven, ReceiptError> {
        if self.genesis != *network.genesis_id() {
            let (found, expected) = (network_name(&self.genesis), network.name.clone());
            return Err(ReceiptError::OtherNetwork { found, expected });
        }
        let chain = verify_chain_proof(network, &self.chain).map_err(ReceiptError::Chain)?;
        light::check_clock(network, chain.tip.height(), chain.tip.time(), now).map_err(ReceiptError::Clock)?;
        let tip = chain.tip.id();
        let id = self.transfer.signed.transaction().id(network.genesis_id());
        let place = self.transfer.verify(network, &id, &tip).map_err(ReceiptError::Transfer)?;
        if place.tip_height != chain.tip.height() || place.claimed_work != chain.tip.total_work() {
            return Err(ReceiptError::Contradiction("the transfer's way to the tip and the chain's proof"));
        }
        let work_since = self.work_since(network, place.height, chain.tip.total_work())?;
        let recipients = recipients(&self.transfer.signed);
        if recipients.len() != self.accounts.len() {
            return Err(ReceiptError::Contradiction("the transfer and the number of its recipients' accounts"));
        }
        let proven = recipients.into_iter().zip(&self.accounts).map(|(address, proof)| {
            let account = proof.verify_under(&address, &tip).map_err(ReceiptError::Account)?;
            Ok((address, account))
        });
        Ok(Proven {
            id,
            place,
            header: self.transfer.header,
            tip: *chain.tip.header(),
            total_work: chain.tip.total_work(),
            work_since,
            headers_checked: chain.headers_checked.saturating_add(self.links.len()).saturating_add(1),
            error_bits: (self.chain.count > chain.headers_checked as u64).then_some(2 * SAMPLES_PER_HALVING),
            recipients: proven.collect::<Result<_, ReceiptError>>()?,
            transfer: self.transfer.signed.clone(),
        })
    }

    /// The work of the transfer's block and all above it. Each of those headers was worked for and names the one before it.
    fn work_since(&self, network: &Params, height: Height, total: Work) -> Result<Work, ReceiptError> {
        let before = self.work_before()?;
        let proven_from = gapless_from(self.chain.count);
        if height.get() >= proven_from {
            // The chain's proof shows the block itself.
            return if self.links.is_empty() {
                Self::since(before, total)
            } else {
                Err(ReceiptError::Contradiction(LINKS))
            };
        }
        let wrong = |height: Height| move |error| ReceiptError::Link { height, error: Box::new(error) };
        check_header_alone(network, &self.transfer.header).map_err(wrong(height))?;
        let own = self.transfer.header.bits.target().ok().and_then(Target::work).unwrap_or(Work::ZERO);
        let up_to = before.checked_add(own).ok_or(ReceiptError::Contradiction(WORK))?;
        let mut last = HeaderContext::from_stored(self.transfer.header, height, up_to);
        let first_shown = self.chain.shown.iter().find(|(height, _)| *height == proven_from).map(|(_, header)| header);
        for header in self.links.iter().chain(first_shown) {
            last = check_header(network, &last, header, header.time).map_err(wrong(last.height().next()))?;
        }
        if last.height().get() != proven_from {
            return Err(ReceiptError::Contradiction(LINKS));
        }
        // Those above it are linked in the chain's proof, and their work is in its sum.
        let above: Option<u128> = self
            .chain
            .shown
            .iter()
            .filter(|(height, _)| *height > proven_from)
            .try_fold(0, |sum, (_, header)| u128::checked_add(sum, header.bits.target().ok()?.work()?.get()));
        let tip = self.chain.tip.bits.target().ok().and_then(Target::work).unwrap_or(Work::ZERO);
        let counted = above.and_then(|above| above.checked_add(tip.get())?.checked_add(last.total_work().get()));
        if counted == Some(total.get()) { Self::since(before, total) } else { Err(ReceiptError::Contradiction(WORK)) }
    }

    fn since(before: Work, total: Work) -> Result<Work, ReceiptError> {
        total.get().checked_sub(before.get()).map(Work::new).ok_or(ReceiptError::Contradiction(WORK))
    }

    /// The work before the transfer's block, which stands on the left of its way up.
    fn work_before(&self) -> Result<Work, ReceiptError> {
        let before = match &self.transfer.anchor {
            Anchor::Tip { range, .. } => Some(range.work.get()),
            Anchor::Ancestor { ancestry, .. } => path_shape(ancestry.index, ancestry.count).and_then(|shape| {
                let steps = shape.iter().zip(&ancestry.siblings).filter(|(step, _)| step.side == Side::Left);
                steps.map(|(_, node)| node.work.get()).try_fold(0_u128, u128::checked_add)
            }),
        };
        before.map(Work::new).ok_or(ReceiptError::Contradiction(WORK))
    }
}

/// From which height on the proof of a chain of so many headers below its tip shows all of them.
#[must_use]
pub fn gapless_from(count: u64) -> u64 {
    tail_start(count).saturating_sub(1)
}

/// Reads the next part, a message of the public API behind its count of bytes.
fn part<M, T>(reader: &mut Reader<'_>, name: &'static str) -> Result<T, String>
where
    M: Message + Default,
    T: TryFrom<M, Error = WireError>,
{
    let bytes = reader.bytes(name, MAX_PART_BYTES).map_err(|error| error.to_string())?;
    let message = M::decode(bytes).map_err(|error| format!("{name}: {error}"))?;
    T::try_from(message).map_err(|error| error.within(name).to_string())
}

/// Reads headers in a row, behind their count of bytes.
fn headers(reader: &mut Reader<'_>) -> Result<Vec<Header>, String> {
    let most = usize::try_from(MAX_LINKS).unwrap_or(usize::MAX).saturating_mul(HEADER_BYTES);
    let bytes = reader.bytes("headers", most).map_err(|error| error.to_string())?;
    let mut reader = Reader::new(bytes);
    let mut headers = Vec::with_capacity(bytes.len() / HEADER_BYTES);
    while reader.remaining() > 0 {
        headers.push(Header::decode(&mut reader).map_err(|error| error.to_string())?);
    }
    Ok(headers)
}
