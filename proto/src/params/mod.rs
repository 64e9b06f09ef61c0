//! Network parameters: what one network may choose, and the genesis block that commits to all of it \[R-PAR, R-GEN\].

mod file;
mod genesis;
mod known;

use std::ops::Deref;

pub use file::ParamsFileError;
pub use known::{DEV_ACCOUNTS, Network};

use crate::{
    Address, AddressPrefix, Bits, Block, BlockId, Height, Mites, Target, TimeMs,
    codec::{Canonical, DecodeError, Reader, put_bytes, put_count},
    limits::{MAX_ALLOCATIONS, MAX_BLOCK_BYTES, MAX_TIME_MS, MAX_TRANSACTION_BYTES},
    target::BitsError,
};

/// How difficulty follows time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retarget {
    /// Every block has genesis's bits: for networks that sleep.
    None,
    /// An absolute schedule, `aserti3-2d`: the parent alone decides \[R-DIF-07\].
    Asert,
}

/// Everything that a network chooses. Checked as a whole by [`Params::new`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamsFields {
    /// Name: 1 to 32 of `a-z 0-9 -`.
    pub name: String,
    /// Prefix of addresses.
    pub prefix: AddressPrefix,
    /// Time of genesis.
    pub genesis_time: TimeMs,
    /// Bits of genesis.
    pub genesis_bits: Bits,
    /// The easiest bits.
    pub limit_bits: Bits,
    /// Mean time between blocks, in milliseconds: 100 to 3,600,000.
    pub target_spacing_ms: u64,
    /// How difficulty follows time.
    pub retarget: Retarget,
    /// Delay behind schedule that doubles the target, in milliseconds: 1,000 to 604,800,000.
    pub half_life_ms: u64,
    /// Blocks until a coinbase is credited; at most 10,000.
    pub reward_delay: u64,
    /// Largest canonical block in bytes: 5,120 to 16 MiB.
    pub max_block_bytes: u32,
    /// Most signature units of a block: 5 to 100,000.
    pub max_signature_units: u32,
    /// Most accounts that a block's transactions open: 1 to 100,000.
    pub max_openings: u32,
    /// What opening an account burns; at most 100 far.
    pub opening_cost: Mites,
    /// Subsidy of block 1; at most 5,000 far.
    pub initial_subsidy: Mites,
    /// Blocks after which the subsidy halves: 1 to 2^32.
    pub halving_interval: u64,
    /// Balances at genesis, strictly sorted by address.
    pub allocations: Vec<Allocation>,
}

/// A balance at genesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allocation {
    /// Whose.
    pub address: Address,
    /// How much; more than zero.
    pub amount: Mites,
}

/// Why parameters make no network \[R-PAR\].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// A name outside its alphabet or length.
    #[error("name {0:?} is not 1 to 32 characters of a-z, 0-9 and -")]
    Name(String),
    /// A number outside its range.
    #[error("{field} is {value}, expected {min} to {max}")]
    OutOfRange {
        /// The parameter.
        field: &'static str,
        /// What it is.
        value: u64,
        /// The smallest that it may be.
        min: u64,
        /// The largest that it may be.
        max: u64,
    },
    /// Bits that name no target.
    #[error("{field}: {error}")]
    Bits {
        /// The parameter.
        field: &'static str,
        /// What is wrong.
        error: BitsError,
    },
    /// Genesis easier than the limit, harder than is reachable, or a limit beyond what the retarget rule can compute.
    #[error("{field} {value} is out of range: {expected}")]
    Target {
        /// The parameter.
        field: &'static str,
        /// What it is.
        value: Bits,
        /// What was expected.
        expected: &'static str,
    },
    /// Too many allocations.
    #[error("{0} allocations, at most 10000 are possible")]
    AllocationCount(usize),
    /// Allocations out of order, or an address twice.
    #[error("allocation {0}: addresses must be strictly sorted, each at most once")]
    AllocationOrder(usize),
    /// An allocation of nothing.
    #[error("allocation {0} is of nothing")]
    EmptyAllocation(usize),
    /// More money than the protocol allows.
    #[error("allocations and all subsidies come to {0} mites, expected less than 2^63")]
    Supply(u128),
}

impl ParamsError {
    /// Id of the rule in SPEC.md.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Name(_) => "R-PAR-01",
            Self::OutOfRange { field, .. } | Self::Bits { field, .. } | Self::Target { field, .. } => field_rule(field),
            Self::AllocationCount(_) | Self::AllocationOrder(_) | Self::EmptyAllocation(_) => "R-PAR-16",
            Self::Supply(_) => "R-PAR-17",
        }
    }
}

/// The rule on one parameter, by its name in errors.
fn field_rule(field: &str) -> &'static str {
    match field {
        "genesis_time_ms" => "R-PAR-03",
        "genesis_bits" => "R-PAR-04",
        "limit_bits" => "R-PAR-05",
        "target_spacing_ms" => "R-PAR-06",
        "half_life_ms" => "R-PAR-08",
        "reward_delay" => "R-PAR-09",
        "max_block_bytes" => "R-PAR-10",
        "max_signature_units" => "R-PAR-11",
        "max_openings" => "R-PAR-12",
        "opening_cost_mites" => "R-PAR-13",
        "initial_subsidy_mites" => "R-PAR-14",
        // `halving_interval`: the last one that has a range.
        _ => "R-PAR-15",
    }
}

/// A network: checked parameters and the genesis block made of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Params {
    fields: ParamsFields,
    genesis: Block,
    genesis_id: BlockId,
}

impl Params {
    /// Checks the parameters against their ranges and each other, and makes genesis.
    ///
    /// # Errors
    /// The first that is out of range; see [`ParamsError`].
    pub fn new(fields: ParamsFields) -> Result<Self, ParamsError> {
        check(&fields)?;
        let genesis = genesis::block(&fields);
        Ok(Self { genesis_id: genesis.id(), genesis, fields })
    }

    /// The genesis block: height 0, exempt from proof of work.
    #[must_use]
    pub const fn genesis(&self) -> &Block {
        &self.genesis
    }

    /// Id of genesis, and so of the network.
    #[must_use]
    pub const fn genesis_id(&self) -> &BlockId {
        &self.genesis_id
    }

    /// New money of a block \[R-SUB-01\].
    #[must_use]
    pub fn subsidy(&self, height: Height) -> Mites {
        let Some(since_first) = height.get().checked_sub(1) else { return Mites::ZERO };
        let halvings = since_first.checked_div(self.fields.halving_interval).unwrap_or(u64::MAX);
        let shift = u32::try_from(halvings).unwrap_or(u32::MAX);
        Mites::new(self.fields.initial_subsidy.get().checked_shr(shift).unwrap_or(0))
    }

    /// New money of all blocks up to and with this height.
    #[must_use]
    pub fn subsidies_up_to(&self, height: Height) -> Mites {
        let interval = self.fields.halving_interval;
        let eras = (0..64_u64).map(|era| {
            let before = interval.saturating_mul(era);
            let blocks = height.get().saturating_sub(before).min(interval);
            blocks.saturating_mul(self.subsidy(Height::new(before.saturating_add(1))).get())
        });
        // All subsidies there can be come to less than 2^63.
        Mites::new(eras.fold(0, u64::saturating_add))
    }

    /// The easiest target.
    #[must_use]
    pub fn limit(&self) -> Target {
        self.fields.limit_bits.target().expect("checked when the parameters were made")
    }

    /// Money that genesis allocates.
    #[must_use]
    pub fn allocated(&self) -> Mites {
        Mites::checked_sum(self.fields.allocations.iter().map(|a| a.amount))
            .expect("checked when the parameters were made")
    }

    /// True for the network whose four well-known keys ship with the wallet.
    #[must_use]
    pub fn is_dev(&self) -> bool {
        self.genesis_id == *Network::Dev.params().genesis_id()
    }
}

impl Deref for Params {
    type Target = ParamsFields;

    fn deref(&self) -> &ParamsFields {
        &self.fields
    }
}

fn within(field: &'static str, value: u64, min: u64, max: u64) -> Result<(), ParamsError> {
    if (min..=max).contains(&value) { Ok(()) } else { Err(ParamsError::OutOfRange { field, value, min, max }) }
}

fn check(fields: &ParamsFields) -> Result<(), ParamsError> {
    let alphabet = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !(1..=32).contains(&fields.name.len()) || !fields.name.bytes().all(alphabet) {
        return Err(ParamsError::Name(fields.name.chars().take(64).collect()));
    }
    within("genesis_time_ms", fields.genesis_time.get(), 0, MAX_TIME_MS.saturating_sub(1))?;
    within("target_spacing_ms", fields.target_spacing_ms, 100, 3_600_000)?;
    within("half_life_ms", fields.half_life_ms, 1_000, 604_800_000)?;
    within("reward_delay", fields.reward_delay, 0, 10_000)?;
    let smallest_block = u64::try_from(MAX_TRANSACTION_BYTES).unwrap_or(u64::MAX).saturating_add(1024);
    let largest_block = u64::try_from(MAX_BLOCK_BYTES).unwrap_or(u64::MAX);
    within("max_block_bytes", fields.max_block_bytes.into(), smallest_block, largest_block)?;
    within("max_signature_units", fields.max_signature_units.into(), 5, 100_000)?;
    within("max_openings", fields.max_openings.into(), 1, 100_000)?;
    within("opening_cost_mites", fields.opening_cost.get(), 0, 10_000_000_000)?;
    within("initial_subsidy_mites", fields.initial_subsidy.get(), 0, 500_000_000_000)?;
    within("halving_interval", fields.halving_interval, 1, 1 << 32)?;
    check_targets(fields)?;
    check_supply(fields)
}

fn check_targets(fields: &ParamsFields) -> Result<(), ParamsError> {
    let target = |field, bits: Bits| bits.target().map_err(|error| ParamsError::Bits { field, error });
    let limit = target("limit_bits", fields.limit_bits)?;
    let genesis = target("genesis_bits", fields.genesis_bits)?;
    let error = |field, value, expected| Err(ParamsError::Target { field, value, expected });
    if fields.retarget == Retarget::Asert && limit > Target::EASIEST_ADJUSTING {
        return error("limit_bits", fields.limit_bits, "at most 2^239 - 1 with retarget = \"asert\"");
    }
    if limit > Target::EASIEST {
        return error("limit_bits", fields.limit_bits, "at most 0x207fffff");
    }
    if limit < Target::HARDEST {
        return error("limit_bits", fields.limit_bits, "at least 2^160");
    }
    if genesis > limit {
        return error("genesis_bits", fields.genesis_bits, "at most limit_bits");
    }
    if genesis < Target::HARDEST {
        return error("genesis_bits", fields.genesis_bits, "at least 2^160");
    }
    Ok(())
}

fn check_supply(fields: &ParamsFields) -> Result<(), ParamsError> {
    let allocations = &fields.allocations;
    if allocations.len() > MAX_ALLOCATIONS {
        return Err(ParamsError::AllocationCount(allocations.len()));
    }
    let unsorted = allocations.iter().zip(allocations.iter().skip(1)).position(|(a, b)| a.address >= b.address);
    if let Some(at) = unsorted {
        return Err(ParamsError::AllocationOrder(at.saturating_add(1)));
    }
    if let Some(at) = allocations.iter().position(|a| a.amount.is_zero()) {
        return Err(ParamsError::EmptyAllocation(at));
    }
    let allocated = allocations.iter().fold(0_u128, |sum, a| sum.saturating_add(a.amount.get().into()));
    let subsidies = (0..64).fold(0_u128, |sum, halving| {
        let era = u128::from(fields.initial_subsidy.get() >> halving);
        sum.saturating_add(era.saturating_mul(fields.halving_interval.into()))
    });
    let supply = allocated.saturating_add(subsidies);
    if supply >= 1 << 63 { Err(ParamsError::Supply(supply)) } else { Ok(()) }
}

impl Canonical for ParamsFields {
    fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.name.as_bytes());
        put_bytes(out, self.prefix.as_str().as_bytes());
        self.genesis_time.encode(out);
        out.extend_from_slice(&self.genesis_bits.to_compact().to_le_bytes());
        out.extend_from_slice(&self.limit_bits.to_compact().to_le_bytes());
        out.extend_from_slice(&self.target_spacing_ms.to_le_bytes());
        out.push(match self.retarget {
            Retarget::None => 0,
            Retarget::Asert => 1,
        });
        out.extend_from_slice(&self.half_life_ms.to_le_bytes());
        out.extend_from_slice(&self.reward_delay.to_le_bytes());
        out.extend_from_slice(&self.max_block_bytes.to_le_bytes());
        out.extend_from_slice(&self.max_signature_units.to_le_bytes());
        out.extend_from_slice(&self.max_openings.to_le_bytes());
        self.opening_cost.encode(out);
        self.initial_subsidy.encode(out);
        out.extend_from_slice(&self.halving_interval.to_le_bytes());
        put_count(out, self.allocations.len());
        for allocation in &self.allocations {
            allocation.address.encode(out);
            allocation.amount.encode(out);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let name = reader.text("name", 32)?.to_owned();
        let prefix = reader.text("prefix", 16)?;
        let prefix = prefix.parse::<AddressPrefix>()?;
        Ok(Self {
            name,
            prefix,
            genesis_time: TimeMs::decode(reader)?,
            genesis_bits: Bits::from_compact(reader.u32("genesis bits")?),
            limit_bits: Bits::from_compact(reader.u32("limit bits")?),
            target_spacing_ms: reader.u64("target spacing")?,
            retarget: match reader.u8("retarget")? {
                0 => Retarget::None,
                1 => Retarget::Asert,
                value => return Err(DecodeError::UnknownChoice { field: "retarget", value }),
            },
            half_life_ms: reader.u64("half life")?,
            reward_delay: reader.u64("reward delay")?,
            max_block_bytes: reader.u32("max block bytes")?,
            max_signature_units: reader.u32("max signature units")?,
            max_openings: reader.u32("max openings")?,
            opening_cost: Mites::decode(reader)?,
            initial_subsidy: Mites::decode(reader)?,
            halving_interval: reader.u64("halving interval")?,
            allocations: decode_allocations(reader)?,
        })
    }
}

fn decode_allocations(reader: &mut Reader<'_>) -> Result<Vec<Allocation>, DecodeError> {
    let count = reader.count("allocations", MAX_ALLOCATIONS, 40)?;
    let mut allocations = Vec::with_capacity(count);
    for _ in 0..count {
        allocations.push(Allocation { address: Address::decode(reader)?, amount: Mites::decode(reader)? });
    }
    Ok(allocations)
}
