//! The Farthing wallet: the only holder of private keys. It signs locally, and verifies what nodes tell it.

pub mod config;
pub mod contacts;
pub mod disk;
pub mod error;
pub mod keystore;
pub mod name;
pub mod passphrase;
