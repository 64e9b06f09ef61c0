//! Entry point.

use std::process::ExitCode;

fn main() -> ExitCode {
    farthing_wallet::main()
}
