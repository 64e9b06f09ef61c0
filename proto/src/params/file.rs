//! A private network's parameters from a TOML file. Every parameter has a name, a unit, a range and a default.

use std::str::FromStr;

use serde::Deserialize;

use super::{Allocation, Params, ParamsError, ParamsFields, Retarget};
use crate::{
    AddressPrefix, Bits, Mites, TimeMs,
    address::{ParseAddressError, ParsePrefixError},
    amount::ParseAmountError,
};

/// Why a file describes no network.
#[derive(Debug, thiserror::Error)]
pub enum ParamsFileError {
    /// Not TOML, or a key that does not exist.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// A prefix outside its alphabet.
    #[error("prefix: {0}")]
    Prefix(#[from] ParsePrefixError),
    /// A name that one of the built-in networks has.
    #[error("name {0:?} belongs to a built-in network; choose another")]
    ReservedName(String),
    /// A prefix that one of the built-in networks has.
    #[error("prefix {0:?} belongs to a built-in network; choose another")]
    ReservedPrefix(String),
    /// A retarget rule that does not exist.
    #[error("retarget = {0:?}: expected \"none\" or \"asert\"")]
    Retarget(String),
    /// Bits that are not eight hex digits.
    #[error("{field} = {text:?}: expected eight hex digits such as \"207fffff\"")]
    Bits {
        /// The key.
        field: &'static str,
        /// Its value.
        text: String,
    },
    /// An amount that is none.
    #[error("{field} = {text:?}: {error}")]
    Amount {
        /// The key.
        field: &'static str,
        /// Its value.
        text: String,
        /// What is wrong.
        error: ParseAmountError,
    },
    /// An allocation to something that is no address of this network.
    #[error("allocation {at}: {error}")]
    Address {
        /// Position in the file, from 0.
        at: usize,
        /// What is wrong.
        error: ParseAddressError,
    },
    /// Values that make no network.
    #[error("{0}")]
    Params(#[from] ParamsError),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    prefix: String,
    genesis_time_ms: u64,
    #[serde(default = "easiest")]
    genesis_bits: String,
    #[serde(default = "easiest")]
    limit_bits: String,
    #[serde(default = "two_seconds")]
    target_spacing_ms: u64,
    #[serde(default = "none")]
    retarget: String,
    #[serde(default = "one_hour")]
    half_life_ms: u64,
    #[serde(default)]
    reward_delay: u64,
    #[serde(default = "four_mebibytes")]
    max_block_bytes: u32,
    #[serde(default = "ten_thousand")]
    max_signature_units: u32,
    #[serde(default = "ten_thousand")]
    max_openings: u32,
    #[serde(default = "tenth")]
    opening_cost_far: String,
    #[serde(default = "fifty")]
    initial_subsidy_far: String,
    #[serde(default = "four_years")]
    halving_interval: u64,
    #[serde(default)]
    allocations: Vec<FileAllocation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileAllocation {
    address: String,
    amount_far: String,
}

fn easiest() -> String {
    "207fffff".to_owned()
}
fn none() -> String {
    "none".to_owned()
}
fn tenth() -> String {
    "0.1".to_owned()
}
fn fifty() -> String {
    "50".to_owned()
}
const fn two_seconds() -> u64 {
    2_000
}
const fn one_hour() -> u64 {
    3_600_000
}
const fn four_years() -> u64 {
    12_600_000
}
const fn four_mebibytes() -> u32 {
    4 << 20
}
const fn ten_thousand() -> u32 {
    10_000
}

fn bits(field: &'static str, text: String) -> Result<Bits, ParamsFileError> {
    match u32::from_str_radix(&text, 16) {
        Ok(compact) if text.len() == 8 => Ok(Bits::from_compact(compact)),
        _ => Err(ParamsFileError::Bits { field, text }),
    }
}

fn amount(field: &'static str, text: &str) -> Result<Mites, ParamsFileError> {
    Mites::from_str(text).map_err(|error| ParamsFileError::Amount { field, text: text.to_owned(), error })
}

impl FromStr for Params {
    type Err = ParamsFileError;

    /// Reads the text of a parameter file. Allocations may stand in any order.
    fn from_str(text: &str) -> Result<Self, ParamsFileError> {
        let file: File = toml::from_str(text)?;
        let prefix: AddressPrefix = file.prefix.parse()?;
        if super::Network::by_name(&file.name).is_some() {
            return Err(ParamsFileError::ReservedName(file.name));
        }
        if super::Network::ALL.iter().any(|network| network.params().prefix == prefix) {
            return Err(ParamsFileError::ReservedPrefix(file.prefix));
        }
        let mut allocations = Vec::with_capacity(file.allocations.len());
        for (at, allocation) in file.allocations.iter().enumerate() {
            let address = prefix.parse(&allocation.address).map_err(|error| ParamsFileError::Address { at, error })?;
            allocations.push(Allocation { address, amount: amount("amount_far", &allocation.amount_far)? });
        }
        allocations.sort_by_key(|allocation| allocation.address);
        let retarget = match file.retarget.as_str() {
            "none" => Retarget::None,
            "asert" => Retarget::Asert,
            _ => return Err(ParamsFileError::Retarget(file.retarget)),
        };
        Ok(Self::new(ParamsFields {
            name: file.name,
            prefix,
            genesis_time: TimeMs::new(file.genesis_time_ms),
            genesis_bits: bits("genesis_bits", file.genesis_bits)?,
            limit_bits: bits("limit_bits", file.limit_bits)?,
            target_spacing_ms: file.target_spacing_ms,
            retarget,
            half_life_ms: file.half_life_ms,
            reward_delay: file.reward_delay,
            max_block_bytes: file.max_block_bytes,
            max_signature_units: file.max_signature_units,
            max_openings: file.max_openings,
            opening_cost: amount("opening_cost_far", &file.opening_cost_far)?,
            initial_subsidy: amount("initial_subsidy_far", &file.initial_subsidy_far)?,
            halving_interval: file.halving_interval,
            allocations,
        })?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALLEST: &str = "name = \"ours\"\nprefix = \"our\"\ngenesis_time_ms = 1793491200000\n";

    #[test]
    fn three_lines_make_a_network() {
        let params: Params = SMALLEST.parse().unwrap();
        assert_eq!(params.name, "ours");
        assert_eq!(params.initial_subsidy, Mites::new(5_000_000_000));
    }

    #[test]
    fn a_bad_file_says_what_is_wrong() {
        for (line, expected) in [
            ("surprise = 1", "unknown field `surprise`"),
            ("retarget = \"daily\"", "expected \"none\" or \"asert\""),
            ("limit_bits = \"xyz\"", "eight hex digits"),
            ("retarget = \"asert\"", "at most 2^239 - 1"),
            ("limit_bits = \"21008000\"", "at most 0x207fffff"),
            ("reward_delay = 10001", "reward_delay is 10001, expected 0 to 10000"),
            ("initial_subsidy_far = \"1,5\"", "',' is not part of an amount"),
            ("initial_subsidy_far = \"5000\"\nhalving_interval = 4294967296", "expected less than 2^63"),
            ("[[allocations]]\naddress = \"far1x\"\namount_far = \"1\"", "allocation 0:"),
        ] {
            let error = format!("{SMALLEST}{line}\n").parse::<Params>().unwrap_err().to_string();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }

    #[test]
    fn a_built_in_networks_name_and_prefix_are_taken() {
        let error = SMALLEST.replace("ours", "main").parse::<Params>().unwrap_err();
        assert!(matches!(error, ParamsFileError::ReservedName(_)));
        let error = SMALLEST.replace("\"our\"", "\"far\"").parse::<Params>().unwrap_err();
        assert!(matches!(error, ParamsFileError::ReservedPrefix(_)));
    }
}
