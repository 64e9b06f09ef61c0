//! `tx inspect`.

use std::path::Path;

use super::{Particulars, read};
use crate::{
    context::Context,
    disk,
    error::Result,
    transfer_file::{Standing, TransferFileError},
};

/// Shows what a file says, and writes the bytes to be signed if asked to.
///
/// # Errors
/// [`TransferFileError`]; [`TransferFileError::BadSignature`] after the result.
pub(super) fn run(context: &mut Context, path: &Path, message_out: Option<&Path>) -> Result<()> {
    let file = read(context, path)?;
    if let Some(out) = message_out {
        let message = file.message();
        disk::create_private(out, &message)?;
        context.output.note(format_args!(
            "wrote the {0} bytes to be signed to {1}; openssl dgst -sha256 -sign KEY.pem -out SIGNATURE '{1}' signs them",
            message.len(),
            out.display()
        ));
    }
    let particulars = Particulars::of(context, &file)?;
    context.output.data(&particulars)?;
    match file.standing()? {
        Standing::Invalid(source) => Err(TransferFileError::BadSignature(source).into()),
        Standing::Unsigned | Standing::Valid => Ok(()),
    }
}
