//! `contact import`: takes over all contacts of a file, or none.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{ContactView, alike, check_own};
use crate::{
    contacts::{
        MAX_FILE_BYTES,
        import::{self, BadLine, BadLines, Found},
    },
    context::Context,
    disk,
    error::{Error, Exit, Explain, Result},
};

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
#[error("nothing was imported from {}: bad lines: {}", file.display(), lines.0.len())]
struct ImportError {
    file: PathBuf,
    #[source]
    lines: BadLines,
}

impl Explain for ImportError {
    fn code(&self) -> &'static str {
        "BAD_IMPORT"
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn tries(&self) -> Vec<String> {
        vec![
            format!("mend or remove these lines of {}, one contact a line: name,address", self.file.display()),
            "farthing-wallet contact rename NAME NEW_NAME, where a name stands for someone else here".into(),
        ]
    }
}

#[derive(Serialize)]
struct Imported {
    added: Vec<ContactView>,
    /// In the file and known already, with the same address.
    known: usize,
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.added.iter().try_for_each(|contact| writeln!(f, "{contact}"))
    }
}

/// Takes over the contacts of a file.
///
/// # Errors
/// Any bad line: then nothing is taken over. A name that is easily taken for another, and nobody who agrees.
pub(super) fn run(context: &mut Context, file: &Path) -> Result<()> {
    let path = if file == Path::new("-") { Path::new("/dev/stdin") } else { file };
    let text = String::from_utf8_lossy(&disk::read_any(path, MAX_FILE_BYTES)?).into_owned();
    let refuse = |lines: BadLines| Error::from(ImportError { file: file.to_owned(), lines });
    let wallet = context.wallet.clone();
    let found =
        import::read(&text, &|text| wallet.parse_address(text).map_err(|error| describe(&error))).map_err(refuse)?;
    let new = new_ones(context, &found).map_err(|error| match error {
        Refusal::Lines(lines) => refuse(lines),
        Refusal::Other(error) => error,
    })?;
    if warn_of_lookalikes(context, &new)? {
        context.confirm("names that look like others", "Import them all the same?")?;
    }
    let _lock = context.wallet.lock()?;
    let entries: Vec<_> = new.iter().map(|contact| (contact.name.clone(), contact.address)).collect();
    context.wallet.contacts()?.add_all(&entries)?;
    let view =
        |contact: &Found| ContactView { name: contact.name.clone(), address: context.wallet.show(&contact.address) };
    let imported = Imported { added: new.iter().map(view).collect(), known: found.len() - new.len() };
    context.output.data(&imported)?;
    let (added, known) = (imported.added.len(), imported.known);
    context.output.note(format_args!("contacts added: {added}, there already: {known}"));
    Ok(())
}

enum Refusal {
    Lines(BadLines),
    Other(Error),
}

/// Those of the file that this wallet does not have yet.
fn new_ones(context: &Context, found: &[Found]) -> Result<Vec<Found>, Refusal> {
    let contacts = context.wallet.contacts().map_err(Refusal::Other)?;
    let (mut new, mut bad) = (Vec::new(), Vec::new());
    for contact in found {
        let why = match contacts.get(&contact.name) {
            Some(known) if known != contact.address => {
                Some(format!("{:?} already stands for {}", contact.name, context.wallet.show(&known)))
            }
            Some(_) => None,
            None => match check_own(context, &contact.name, &contact.address) {
                Ok(()) => {
                    new.push(contact.clone());
                    None
                }
                Err(error) => Some(error.report().what),
            },
        };
        bad.extend(why.map(|why| BadLine { line: contact.line, why }));
    }
    if bad.is_empty() { Ok(new) } else { Err(Refusal::Lines(BadLines(bad))) }
}

/// Warns of each name that is easily taken for another one, here or in the file; tells whether there is any.
fn warn_of_lookalikes(context: &mut Context, new: &[Found]) -> Result<bool> {
    let mut any = false;
    for (index, contact) in new.iter().enumerate() {
        let name = &contact.name;
        let in_file = new
            .iter()
            .take(index)
            .find(|other| other.address != contact.address && crate::lookalike::are_alike(&other.name, name));
        let known = match in_file {
            Some(other) => Some(other.name.clone()),
            None => alike(context, name, &contact.address)?,
        };
        if let Some(known) = known {
            any = true;
            let line = contact.line;
            context
                .output
                .warn(format_args!("line {line}: {name:?} is easily taken for {known:?}, which has another address"));
        }
    }
    Ok(any)
}

fn describe(error: &crate::wallet::LookupError) -> String {
    use std::error::Error as _;
    match error.source() {
        Some(source) => format!("{error} ({source})"),
        None => error.to_string(),
    }
}
