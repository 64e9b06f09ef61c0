//! The networks that have a name.

use std::sync::LazyLock;

use super::{Allocation, Params, ParamsFields, Retarget};
use crate::{Address, Bits, Mites, TimeMs};

/// The networks that need no parameter file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Real money, such as it is.
    Main,
    /// As main, for trying things out.
    Test,
    /// One machine or a few: quick blocks, no difficulty, four funded keys that everybody has.
    Dev,
}

/// Name and address of the four accounts that the dev network funds. Their private keys ship with the wallet.
pub const DEV_ACCOUNTS: [(&str, &str); 4] = [
    ("alice", "6567b63f71ac0add9e50b98c785c6cbecd96c4b1320494b8ed323ef4b1a1f5b2"),
    ("bob", "0e8fdb9f827ffb04ac49f1006e3b373e6c673f592a589ee438b871cd4a2fa741"),
    ("carol", "c0a0a39ac1df988c8ef1b1ea058804755ce0b566eb9f7ac244c8c71f7518865a"),
    ("dave", "106168f1ae386655797a256c53c7d5d710d4ea507083b7cc89618e1a061597e2"),
];

/// What genesis of dev gives to each of them, in far.
const DEV_ALLOCATION_FAR: u64 = 1_000_000;
/// 2026-11-01T00:00:00Z.
const NOVEMBER_2026: TimeMs = TimeMs::new(1_793_491_200_000);
/// 2026-12-01T00:00:00Z.
const DECEMBER_2026: TimeMs = TimeMs::new(1_796_083_200_000);

static MAIN: LazyLock<Params> = LazyLock::new(|| build(public("main", "far", DECEMBER_2026)));
static TEST: LazyLock<Params> = LazyLock::new(|| build(public("test", "tfar", NOVEMBER_2026)));
static DEV: LazyLock<Params> = LazyLock::new(|| build(dev()));

impl Network {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Main, Self::Test, Self::Dev];

    /// The network's parameters.
    #[must_use]
    pub fn params(self) -> &'static Params {
        match self {
            Self::Main => &MAIN,
            Self::Test => &TEST,
            Self::Dev => &DEV,
        }
    }

    /// The network of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|network| network.params().name == name)
    }
}

fn build(fields: ParamsFields) -> Params {
    Params::new(fields).expect("the named networks are within every range; a test makes each")
}

fn public(name: &str, prefix: &str, genesis_time: TimeMs) -> ParamsFields {
    // A limit of about 2^228: some 2^28 attempts, ten seconds for a machine or two.
    let limit = Bits::from_compact(0x1d0f_ffff);
    ParamsFields {
        name: name.to_owned(),
        prefix: prefix.parse().expect("a constant of lower-case letters"),
        genesis_time,
        genesis_bits: limit,
        limit_bits: limit,
        target_spacing_ms: 10_000,
        retarget: Retarget::Asert,
        half_life_ms: 3_600_000,
        reward_delay: 360,
        max_block_bytes: 1 << 20,
        max_signature_units: 2_500,
        max_openings: 256,
        opening_cost: Mites::new(10_000_000),
        initial_subsidy: Mites::new(5_000_000_000),
        halving_interval: 12_600_000,
        allocations: Vec::new(),
    }
}

fn dev() -> ParamsFields {
    let easiest = Bits::from_compact(0x207f_ffff);
    let amount = Mites::from_far(DEV_ALLOCATION_FAR).expect("a constant within range");
    let mut allocations = DEV_ACCOUNTS.map(|(_, address)| Allocation {
        address: address.parse::<Address>().expect("a constant of 64 hex digits"),
        amount,
    });
    allocations.sort_by_key(|allocation| allocation.address);
    ParamsFields {
        genesis_bits: easiest,
        limit_bits: easiest,
        target_spacing_ms: 2_000,
        retarget: Retarget::None,
        reward_delay: 0,
        max_block_bytes: 4 << 20,
        max_signature_units: 10_000,
        max_openings: 10_000,
        allocations: allocations.to_vec(),
        ..public("dev", "dfar", NOVEMBER_2026)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Canonical as _;

    #[test]
    fn every_named_network_is_within_its_ranges_and_unlike_the_others() {
        let ids: Vec<_> = Network::ALL.map(|network| *network.params().genesis_id()).to_vec();
        assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
        for network in Network::ALL {
            let params = network.params();
            assert_eq!(Network::by_name(&params.name), Some(network));
            let read = ParamsFields::from_canonical(&params.fields.to_canonical()).unwrap();
            assert_eq!(&Params::new(read).unwrap(), params);
        }
        assert!(Network::Dev.params().is_dev() && !Network::Main.params().is_dev());
    }
}
