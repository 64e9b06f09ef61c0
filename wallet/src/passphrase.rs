//! Passphrases: from a terminal without echo, a file, a descriptor or a program that asks; never from the command line or
//! the environment; wiped after use.

use std::{
    fmt,
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use zeroize::Zeroizing;

use crate::{
    disk::{self, DiskError},
    error::{Exit, Explain},
};

/// A passphrase that is not empty. Its bytes are wiped when it is dropped, and it never shows itself.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(***)")
    }
}

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// The file or the answer is empty.
    #[error("the passphrase is empty")]
    Empty,
    /// Too short to guard a key.
    #[error("the passphrase has {length} characters, a new one needs at least {}", Passphrase::MIN_LENGTH)]
    TooShort {
        /// Its length.
        length: usize,
    },
    /// Control characters cannot be typed again elsewhere.
    #[error("the passphrase contains a control character")]
    Control,
    /// Not text.
    #[error("the passphrase is not valid UTF-8")]
    NotText,
    /// The two entries of a new one differ.
    #[error("the two passphrases differ")]
    Mismatch,
    /// No terminal to ask on, and no file given.
    #[error("a passphrase is needed and there is no terminal to ask for it")]
    NoTerminal,
    /// Ctrl-D instead of one.
    #[error("no passphrase was typed: the input ended")]
    Ended,
    /// Ctrl-C instead of one, which is a key like others while the echo is off.
    #[error("no passphrase was typed: it was given up")]
    Interrupted,
    /// The descriptor is not open.
    #[error("cannot read a passphrase from the descriptor {number}")]
    Descriptor {
        /// Which one.
        number: u32,
        /// Why.
        #[source]
        source: DiskError,
    },
    /// The program that asks cannot be run.
    #[error("cannot run {} (FARTHING_ASKPASS)", program.display())]
    Askpass {
        /// The program.
        program: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The program that asks has no answer.
    #[error("{} (FARTHING_ASKPASS) gave no passphrase: {status}", program.display())]
    NoAnswer {
        /// The program.
        program: PathBuf,
        /// How it ended.
        status: ExitStatus,
    },
    /// The file cannot be read.
    #[error("cannot read the passphrase file")]
    File(#[source] DiskError),
}

impl Explain for PassphraseError {
    fn code(&self) -> &'static str {
        match self {
            Self::Empty => "PASSPHRASE_EMPTY",
            Self::TooShort { .. } => "PASSPHRASE_TOO_SHORT",
            Self::Control | Self::NotText => "PASSPHRASE_NOT_TEXT",
            Self::Mismatch => "PASSPHRASE_MISMATCH",
            Self::NoTerminal | Self::Ended => "PASSPHRASE_NEEDED",
            Self::Interrupted => "INTERRUPTED",
            Self::Descriptor { .. } => "PASSPHRASE_FD",
            Self::Askpass { .. } | Self::NoAnswer { .. } => "ASKPASS",
            Self::File(_) => "PASSPHRASE_FILE",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Ended => Exit::Declined,
            Self::Interrupted => Exit::Interrupted,
            _ => Exit::Usage,
        }
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::NoTerminal => vec![
                "--passphrase-file FILE, whose first line is the passphrase".into(),
                "FARTHING_ASKPASS=PROGRAM, which asks and prints the answer".into(),
            ],
            Self::Ended | Self::Interrupted => vec!["the command again, and the passphrase when it asks".into()],
            Self::Descriptor { number, .. } => vec![format!("{number}< FILE behind the command, in the shell")],
            Self::Askpass { .. } => vec!["the full path of the program, which must be executable".into()],
            Self::NoAnswer { .. } => vec!["the command again, and an answer when the program asks".into()],
            Self::TooShort { .. } => vec!["a few words that nobody else would put together".into()],
            Self::Empty => vec!["the passphrase itself, in the first line of a file or typed".into()],
            Self::Control | Self::NotText => vec!["a passphrase of letters, digits, signs and spaces, in UTF-8".into()],
            Self::Mismatch => vec!["the command again, with the same passphrase both times".into()],
            Self::File(error) => error.tries(),
        }
    }
}

impl Passphrase {
    /// Fewest characters of a new passphrase.
    pub const MIN_LENGTH: usize = 8;
    /// Longest passphrase file.
    const MAX_FILE_BYTES: u64 = 4096;

    /// Takes a text that was typed.
    ///
    /// # Errors
    /// [`PassphraseError::Empty`] and [`PassphraseError::Control`].
    pub fn new(text: Zeroizing<String>) -> Result<Self, PassphraseError> {
        if text.is_empty() {
            return Err(PassphraseError::Empty);
        }
        if text.chars().any(char::is_control) {
            return Err(PassphraseError::Control);
        }
        Ok(Self(text))
    }

    /// Reads the first line of a file, which may be a pipe.
    ///
    /// # Errors
    /// [`PassphraseError::File`], [`PassphraseError::NotText`], [`PassphraseError::Empty`],
    /// [`PassphraseError::Control`].
    pub fn from_file(path: &Path) -> Result<Self, PassphraseError> {
        Self::first_line(&disk::read_any(path, Self::MAX_FILE_BYTES).map_err(PassphraseError::File)?)
    }

    /// Reads the first line of a descriptor that this process was started with.
    ///
    /// # Errors
    /// [`PassphraseError::Descriptor`], and as [`Passphrase::from_file`].
    pub fn from_descriptor(number: u32) -> Result<Self, PassphraseError> {
        let path = PathBuf::from(format!("/dev/fd/{number}"));
        let bytes = disk::read_any(&path, Self::MAX_FILE_BYTES)
            .map_err(|source| PassphraseError::Descriptor { number, source })?;
        Self::first_line(&bytes)
    }

    /// Runs a program that asks for it, with the question as its argument, and reads the first line that it prints.
    ///
    /// # Errors
    /// [`PassphraseError::Askpass`], [`PassphraseError::NoAnswer`], and as [`Passphrase::from_file`].
    pub fn from_program(program: &Path, question: &str) -> Result<Self, PassphraseError> {
        let failed = |source| PassphraseError::Askpass { program: program.to_owned(), source };
        let mut child =
            Command::new(program).arg(question).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(failed)?;
        // Reserved once, so that no copy is left behind by a growing buffer.
        let mut bytes = Zeroizing::new(Vec::with_capacity(Self::MAX_FILE_BYTES as usize + 1));
        let read = match child.stdout.take() {
            Some(answer) => answer.take(Self::MAX_FILE_BYTES).read_to_end(&mut bytes),
            None => Ok(0),
        };
        let status = child.wait().map_err(failed)?;
        read.map_err(failed)?;
        if !status.success() {
            return Err(PassphraseError::NoAnswer { program: program.to_owned(), status });
        }
        Self::first_line(&bytes)
    }

    fn first_line(bytes: &[u8]) -> Result<Self, PassphraseError> {
        let text = std::str::from_utf8(bytes).map_err(|_| PassphraseError::NotText)?;
        let line = text.split('\n').next().unwrap_or_default();
        Self::new(Zeroizing::new(line.strip_suffix('\r').unwrap_or(line).to_owned()))
    }

    /// Passes it through if it is long enough to guard a new key.
    ///
    /// # Errors
    /// [`PassphraseError::TooShort`].
    pub fn fit_for_a_new_key(self) -> Result<Self, PassphraseError> {
        let length = self.0.chars().count();
        if length < Self::MIN_LENGTH { Err(PassphraseError::TooShort { length }) } else { Ok(self) }
    }

    /// The bytes that the key derivation takes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl PartialEq for Passphrase {
    /// Compares two entries by the same person; timing gives nothing away here.
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_bytes(bytes: &[u8]) -> Result<Passphrase, PassphraseError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        Passphrase::from_file(file.path())
    }

    #[test]
    fn only_the_first_line_of_a_file_counts() {
        assert_eq!(from_bytes(b"correct horse\nbattery\n").unwrap().as_bytes(), b"correct horse");
        assert_eq!(from_bytes(b"correct horse\r\n").unwrap().as_bytes(), b"correct horse");
        assert_eq!(from_bytes("p\u{e4}ss wort".as_bytes()).unwrap().as_bytes(), "p\u{e4}ss wort".as_bytes());
    }

    #[test]
    fn a_passphrase_that_cannot_be_one_is_refused() {
        assert_eq!(from_bytes(b"").unwrap_err().code(), "PASSPHRASE_EMPTY");
        assert_eq!(from_bytes(b"\nsecond line\n").unwrap_err().code(), "PASSPHRASE_EMPTY");
        assert_eq!(from_bytes(b"a\0b").unwrap_err().code(), "PASSPHRASE_NOT_TEXT");
        assert_eq!(from_bytes(b"\xff\xfe").unwrap_err().code(), "PASSPHRASE_NOT_TEXT");
        assert_eq!(Passphrase::from_file(Path::new("/nowhere/at/all")).unwrap_err().code(), "PASSPHRASE_FILE");
    }

    #[test]
    fn a_new_passphrase_has_eight_characters() {
        assert!(from_bytes(b"1234567").unwrap().fit_for_a_new_key().is_err());
        assert!(from_bytes(b"12345678").unwrap().fit_for_a_new_key().is_ok());
    }

    #[test]
    fn it_does_not_show_itself() {
        assert_eq!(format!("{:?}", from_bytes(b"correct horse").unwrap()), "Passphrase(***)");
    }
}
