"""Headers (SPEC section 6), network parameters and genesis (section 9)."""

import re
from dataclasses import dataclass, replace

from .difficulty import check_range, required_bits, target_of, work_of
from .encoding import Broken, Reader, counted, require, sha256, u8, u16, u32, u64
from .transactions import Coinbase
from .trees import ZERO, Account, accounts_root, tx_root

FAR = 100_000_000
RETARGETS = ("none", "asert")


@dataclass(frozen=True)
class Header:
    previous: bytes
    commitment: bytes
    tx_root: bytes
    time_ms: int
    bits: int
    nonce: int
    version: int = 1

    def canonical(self):
        return (u16(self.version) + self.previous + self.commitment + self.tx_root + u64(self.time_ms)
                + u32(self.bits) + u64(self.nonce))

    def block_id(self):
        return sha256(sha256(self.canonical()))

    def mined(self):
        """The same header with the first nonce that meets its target."""
        target, header = target_of(self.bits), self
        while int.from_bytes(header.block_id(), "big") > target:
            header = replace(header, nonce=header.nonce + 1)
        return header


def decode_header(data):
    reader = Reader(data)
    version = reader.u16()
    require(version == 1, "R-HDR-02", "DecodeError::UnknownVersion", str(version))
    header = Header(reader.take(32), reader.take(32), reader.take(32), reader.u64(), reader.u32(), reader.u64())
    reader.finish()
    return header


def check_header(data, params):
    """All context-free rules of a header that is not genesis."""
    try:
        header = decode_header(data)
    except Broken as broken:
        if broken.rule in ("R-ENC-01", "R-ENC-02"):
            raise Broken("R-HDR-01", broken.error) from None
        raise
    require(header.time_ms < 2**48, "R-TIM-03", "TimeTooLarge")
    target = target_of(header.bits)
    check_range(target, target_of(params.limit_bits))
    require(int.from_bytes(header.block_id(), "big") <= target, "R-HDR-03", "InsufficientWork")
    return header


def check_header_after(header, parent, parent_height, params):
    """The contextual rules of a header."""
    require(header.time_ms > parent.time_ms, "R-TIM-01", "TimeNotAfterParent")
    require(header.bits == required_bits(params, parent.time_ms, parent_height), "R-DIF-06", "WrongBits")


def commitment(root_of_accounts, root_of_chain):
    return sha256(b"\x40", root_of_accounts, root_of_chain)


@dataclass(frozen=True)
class Params:
    name: str
    prefix: str
    genesis_time_ms: int
    genesis_bits: int = 0x1D0FFFFF
    limit_bits: int = 0x1D0FFFFF
    target_spacing_ms: int = 10_000
    retarget: int = 1
    half_life_ms: int = 3_600_000
    reward_delay: int = 360
    max_block_bytes: int = 1_048_576
    max_signature_units: int = 2_500
    max_openings: int = 256
    opening_cost: int = 10_000_000
    initial_subsidy: int = 5_000_000_000
    halving_interval: int = 12_600_000
    allocations: tuple = ()  # of (address, amount), sorted

    def canonical(self):
        return b"".join((
            counted(self.name.encode()), counted(self.prefix.encode()), u64(self.genesis_time_ms),
            u32(self.genesis_bits), u32(self.limit_bits), u64(self.target_spacing_ms), u8(self.retarget),
            u64(self.half_life_ms), u64(self.reward_delay), u32(self.max_block_bytes),
            u32(self.max_signature_units), u32(self.max_openings), u64(self.opening_cost),
            u64(self.initial_subsidy), u64(self.halving_interval), u32(len(self.allocations)),
            *(address + u64(amount) for address, amount in self.allocations)))

    def subsidy(self, height):
        if height == 0:
            return 0
        halvings = (height - 1) // self.halving_interval
        return 0 if halvings >= 64 else self.initial_subsidy >> halvings

    def genesis_accounts(self):
        return {address: Account(amount) for address, amount in self.allocations}

    def genesis_coinbase(self):
        return Coinbase(0, ZERO, 0, b"farthing genesis")

    def genesis(self):
        return Header(sha256(b"farthing network\0", self.canonical()),
                      commitment(accounts_root(self.genesis_accounts()), ZERO),
                      tx_root([self.genesis_coinbase().leaf()]), self.genesis_time_ms, self.genesis_bits, 0)


def _ranged(reader, size, low, high, rule):
    value = reader.integer(size)
    require(low <= value <= high, rule, "ParamsError::OutOfRange", str(value))
    return value


def _text(reader, most, pattern, rule, error):
    data = reader.counted(most, rule)
    require(re.fullmatch(pattern, data), rule, error)
    return data.decode()


def _target(bits, rule):
    try:
        return target_of(bits)
    except Broken as broken:
        raise Broken(rule, "ParamsError::Bits", str(broken)) from None


def decode_params(data):
    """Reads and range-checks parameters. The targets depend on a later field: they come after the last byte."""
    reader = Reader(data)
    params = Params(
        name=_text(reader, 32, rb"[a-z0-9-]+", "R-PAR-01", "ParamsError::Name"),
        prefix=_text(reader, 16, rb"[a-z]+", "R-PAR-02", "ParsePrefixError"),
        genesis_time_ms=_ranged(reader, 8, 0, 2**48 - 1, "R-PAR-03"),
        genesis_bits=reader.u32(),
        limit_bits=reader.u32(),
        target_spacing_ms=_ranged(reader, 8, 100, 3_600_000, "R-PAR-06"),
        retarget=_retarget(reader),
        half_life_ms=_ranged(reader, 8, 1_000, 604_800_000, "R-PAR-08"),
        reward_delay=_ranged(reader, 8, 0, 10_000, "R-PAR-09"),
        max_block_bytes=_ranged(reader, 4, 5_120, 16_777_216, "R-PAR-10"),
        max_signature_units=_ranged(reader, 4, 5, 100_000, "R-PAR-11"),
        max_openings=_ranged(reader, 4, 1, 100_000, "R-PAR-12"),
        opening_cost=_ranged(reader, 8, 0, 100 * FAR, "R-PAR-13"),
        initial_subsidy=_ranged(reader, 8, 0, 5_000 * FAR, "R-PAR-14"),
        halving_interval=_ranged(reader, 8, 1, 2**32, "R-PAR-15"),
        allocations=_allocations(reader))
    reader.finish()
    limit = _target(params.limit_bits, "R-PAR-05")
    most = 2**239 - 1 if params.retarget == 1 else target_of(0x207FFFFF)
    require(limit <= most, "R-PAR-05", "ParamsError::Target")
    target = _target(params.genesis_bits, "R-PAR-04")
    require(2**160 <= target <= limit, "R-PAR-04", "ParamsError::Target")
    subsidies = sum(params.halving_interval * (params.initial_subsidy >> k) for k in range(64))
    require(subsidies + sum(a for _, a in params.allocations) < 2**63, "R-PAR-17", "ParamsError::Supply")
    assert params.canonical() == data, "one value, one encoding"
    return params


def _retarget(reader):
    choice = reader.u8()
    require(choice < len(RETARGETS), "R-PAR-07", "DecodeError::UnknownChoice", str(choice))
    return choice


def _allocations(reader):
    allocations = []
    for _ in range(reader.count(10_000, 40, "R-PAR-16")):
        address, amount = reader.take(32), reader.u64()
        require(not allocations or allocations[-1][0] < address, "R-PAR-16", "ParamsError::AllocationOrder")
        require(amount > 0, "R-PAR-16", "ParamsError::EmptyAllocation")
        allocations.append((address, amount))
    return tuple(allocations)


DEV_ADDRESSES = {name: bytes.fromhex(text) for name, text in (
    ("dave", "106168f1ae386655797a256c53c7d5d710d4ea507083b7cc89618e1a061597e2"),
    ("bob", "0e8fdb9f827ffb04ac49f1006e3b373e6c673f592a589ee438b871cd4a2fa741"),
    ("alice", "6567b63f71ac0add9e50b98c785c6cbecd96c4b1320494b8ed323ef4b1a1f5b2"),
    ("carol", "c0a0a39ac1df988c8ef1b1ea058804755ce0b566eb9f7ac244c8c71f7518865a"))}

MAIN = Params("main", "far", 1_796_083_200_000)
TEST = Params("test", "tfar", 1_793_491_200_000)
DEV = Params("dev", "dfar", 1_793_491_200_000, genesis_bits=0x207FFFFF, limit_bits=0x207FFFFF,
             target_spacing_ms=2_000, retarget=0, reward_delay=0, max_block_bytes=4_194_304,
             max_signature_units=10_000, max_openings=10_000,
             allocations=tuple(sorted((a, 1_000_000 * FAR) for a in DEV_ADDRESSES.values())))

assert work_of(DEV.genesis_bits) == 2
