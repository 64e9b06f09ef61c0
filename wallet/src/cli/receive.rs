//! `receive`.

use clap::{Args, ValueEnum};

use crate::{name::Name, output::qr};

/// A request for a payment.
#[derive(Debug, Args)]
pub struct Receive {
    /// The key to be paid; not needed if there is only one.
    #[arg(value_name = "ACCOUNT")]
    pub who: Option<Name>,
    /// How much to ask for, in far, such as 12.5.
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true)]
    pub amount: Option<String>,
    /// What it is for, at most 100 characters; whoever gets the request reads it, nobody else.
    #[arg(long, value_name = "TEXT")]
    pub label: Option<String>,
    /// Draw the request as a QR code. Without colours it is drawn for a dark terminal, unless told: --qr=light.
    #[arg(long, value_name = "GROUND", num_args = 0..=1, require_equals = true, default_missing_value = "auto")]
    pub qr: Option<Ground>,
    /// Show payments as they arrive and are mined: until --amount has arrived, or --timeout is over, or Ctrl-C.
    #[arg(long)]
    pub watch: bool,
}

/// What a QR code is drawn on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Ground {
    /// Black on white with colours; else for a dark terminal.
    Auto,
    /// A dark terminal.
    Dark,
    /// A light terminal, or paper.
    Light,
}

impl Ground {
    /// The ground to draw on; `auto` is what suits the output.
    #[must_use]
    pub const fn chosen(self, auto: qr::Ground) -> qr::Ground {
        match self {
            Self::Auto => auto,
            Self::Dark => qr::Ground::Dark,
            Self::Light => qr::Ground::Light,
        }
    }
}
