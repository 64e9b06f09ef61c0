//! `tx sign`: with a key of this wallet, or with a signature that was made elsewhere. Asks no node, so that the machine
//! with the key needs no network.

use std::path::Path;

use farthing::{Mites, keys::KeySize};

use super::{Particulars, hand_over, read};
use crate::{
    commands::send,
    context::Context,
    disk,
    error::{Exit, Explain, Result},
    keystore::KeyEntry,
    name::Name,
    transfer::FEE_PER_BYTE,
    transfer_file::{Standing, TransferFile, TransferFileError},
};

/// Why this wallet cannot sign a file.
#[derive(Debug, thiserror::Error)]
pub(super) enum SignFileError {
    /// It lacks the key.
    #[error("this wallet has no key of the account that pays, {0}")]
    NoKey(String),
    /// Another account was chosen.
    #[error("the transfer is paid by {payer}, not by {chosen}")]
    OtherAccount {
        /// Name of the key that pays.
        payer: Name,
        /// The name chosen.
        chosen: Name,
    },
}

impl Explain for SignFileError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoKey(_) => "NO_SUCH_KEY",
            Self::OtherAccount { .. } => "OTHER_ACCOUNT",
        }
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::NoKey(_) => vec![
                "on the machine with that key, or farthing-wallet key import KEY.pem here".into(),
                "--signature FILE with a signature that was made elsewhere".into(),
            ],
            Self::OtherAccount { payer, .. } => vec![format!("--account {payer}, if that is who should pay")],
        }
    }
}

/// Signs a file.
///
/// # Errors
/// [`TransferFileError`], [`SignFileError`], and those of the key.
pub(super) fn run(context: &mut Context, path: &Path, out: Option<&Path>, signature: Option<&Path>) -> Result<()> {
    let file = read(context, path)?;
    if file.standing()? == Standing::Valid {
        return Err(TransferFileError::Signed.into());
    }
    let signed = match signature {
        Some(signature) => file.with_signature(&disk::read_any(signature, KeySize::Bits4096.bytes() as u64)?)?,
        None => sign(context, &file)?,
    };
    hand_over(context, &signed, out)?;
    let id = signed.transaction().id(context.wallet.network().genesis_id());
    context.output.note(format_args!("signed {id}; nothing was submitted"));
    Ok(())
}

fn sign(context: &mut Context, file: &TransferFile) -> Result<TransferFile> {
    let payer = payer(context, file)?;
    let particulars = Particulars::of(context, file)?;
    context.output.note(&particulars);
    warn(context, file)?;
    send::warn_of_recipients(context, &payer, file.transaction().outputs())?;
    context.confirm("nothing was signed", "Sign it?")?;
    let signer = context.unlock(&payer.name)?;
    let signed = signer.sign(file.transaction().clone(), context.wallet.network().genesis_id())?;
    Ok(file.with_signature(signed.signature().as_bytes())?)
}

/// The own key of the account that pays.
fn payer(context: &Context, file: &TransferFile) -> Result<KeyEntry> {
    let address = file.transaction().sender_address();
    let entry = context.wallet.keys().list()?.into_iter().find(|entry| entry.public.address() == address);
    let payer = entry.ok_or_else(|| SignFileError::NoKey(context.wallet.show(&address)))?;
    match context.account.as_deref().map(str::parse::<Name>).transpose()? {
        Some(chosen) if chosen != payer.name => Err(SignFileError::OtherAccount { payer: payer.name, chosen }.into()),
        _ => Ok(payer),
    }
}

/// What a person should not overlook, as far as it shows without a node.
fn warn(context: &mut Context, file: &TransferFile) -> Result<()> {
    let transaction = file.transaction();
    let least = FEE_PER_BYTE.checked_mul(file.size_bytes()? as u64).unwrap_or(Mites::ZERO);
    let (fee, amount) = (transaction.fee(), transaction.total().checked_sub(transaction.fee()).unwrap_or(Mites::ZERO));
    if fee < least {
        context.output.warn(format_args!("nodes relay this transfer for {least} far or more, not for {fee} far"));
    }
    let strangers = transaction.outputs().iter().filter(|output| output.to != transaction.sender_address()).count();
    let opening = context.wallet.network().opening_cost.checked_mul(strangers as u64).unwrap_or(Mites::MAX);
    if let Err(error) = send::bounds(context, None)?.check(fee, opening) {
        context.output.warn(error);
    }
    if fee > amount {
        context.output.warn(format_args!("the fee of {fee} far is more than what is paid, {amount} far"));
    }
    Ok(())
}
