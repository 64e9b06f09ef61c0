//! Writes the page docs/api/reference.md. It runs in the repository: `cargo run --example api_reference`.

use std::{error::Error, fs, path::Path};

mod reference;

fn main() -> Result<(), Box<dyn Error>> {
    let page = reference::page(farthing::wire::PUBLIC_DESCRIPTORS, reference::PACKAGE)?;
    fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(reference::PATH), page)?;
    Ok(())
}
