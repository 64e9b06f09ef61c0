//! Why a payroll is not paid.

use std::path::PathBuf;

use farthing::Mites;

use crate::error::{Exit, Explain};

/// Why a payroll is not paid.
#[derive(Debug, thiserror::Error)]
pub enum PayError {
    /// The columns are not those of a payroll.
    #[error("line 1 of {} does not name the columns: {why}; nothing was paid", file.display())]
    Columns {
        /// The file.
        file: PathBuf,
        /// What is wrong with them.
        why: String,
    },
    /// Some rows are wrong; each was told.
    #[error("{bad} of {rows} rows of {} are wrong, see above; nothing was paid", file.display())]
    Rows {
        /// The file.
        file: PathBuf,
        /// How many are wrong.
        bad: usize,
        /// How many there are.
        rows: usize,
    },
    /// No row at all.
    #[error("{} names nobody to pay", .0.display())]
    Empty(PathBuf),
    /// More rows than are paid at once.
    #[error("{} has more than {most} rows; nothing was paid", file.display())]
    TooMany {
        /// The file.
        file: PathBuf,
        /// The most.
        most: usize,
    },
    /// It comes to more than the person allowed.
    #[error("amounts and fees come to {total} far, more than the {bound} far of --max-total; nothing was paid")]
    TotalAboveBound {
        /// What it comes to.
        total: Mites,
        /// What was allowed.
        bound: Mites,
    },
    /// It was paid, and somebody was told.
    #[error(
        "an earlier command has paid this: the same recipients and amounts from the same account (payroll {0}); nothing was sent"
    )]
    AlreadyPaid(String),
    /// There is no earlier command to go on with.
    #[error("no earlier command has begun to pay this (payroll {0}); nothing was sent")]
    NothingToResume(String),
    /// Another payroll is not paid to its end.
    #[error("the payroll {0} of this account was interrupted, and this file is another one; nothing was sent")]
    OtherIsOpen(String),
    /// Some of it can never be mined.
    #[error("not paid: {rows} rows, marked above; other transactions took the nonces of theirs")]
    NotPaid {
        /// How many rows.
        rows: usize,
    },
}

impl Explain for PayError {
    fn code(&self) -> &'static str {
        match self {
            Self::Columns { .. } | Self::Rows { .. } | Self::Empty(_) | Self::TooMany { .. } => "BAD_PAYROLL",
            Self::TotalAboveBound { .. } => "TOTAL_TOO_HIGH",
            Self::AlreadyPaid(_) => "ALREADY_PAID",
            Self::NothingToResume(_) => "NOTHING_TO_RESUME",
            Self::OtherIsOpen(_) => "OTHER_PAYROLL_OPEN",
            Self::NotPaid { .. } => "NOT_PAID",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NotPaid { .. } => Exit::Rejected,
            _ => Exit::Usage,
        }
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::Columns { .. } | Self::Empty(_) => {
                vec!["a first line recipient,amount (or recipient,amount,label), and a line for each payment".into()]
            }
            Self::Rows { .. } => vec!["mend these rows, and the same command again".into()],
            Self::TooMany { most, .. } => vec![format!("several files of at most {most} rows")],
            Self::TotalAboveBound { total, .. } => vec![format!("--max-total {total}, if you mean to pay that much")],
            Self::AlreadyPaid(_) => vec![
                "--resume, which only says what became of it".into(),
                "--again, if all of it shall be paid once more".into(),
            ],
            Self::NothingToResume(_) => {
                vec!["the same command without --resume".into(), "--account NAME, if another account paid".into()]
            }
            Self::OtherIsOpen(_) => vec![
                "farthing-wallet pay with the file as it was then, which goes on with it".into(),
                "--again, if this one shall be paid beside it, rows that both have twice".into(),
            ],
            Self::NotPaid { .. } => vec!["a file with these rows only, if they are still owed".into()],
        }
    }
}
