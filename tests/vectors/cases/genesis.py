"""genesis.json: parameters and genesis blocks of main, test, dev and two file networks; parameters that are refused."""

from dataclasses import replace

from farthing_ref.difficulty import work_of
from farthing_ref.encoding import u32
from farthing_ref.ledger import Block
from farthing_ref.network import DEV, FAR, MAIN, TEST, Params, decode_params
from farthing_ref.trees import accounts_root

from .common import coinbase_json, dev, header_json, params_json, refused, some_address

# A private network with retargeting, and one on which blocks are easily made and every limit is near (blocks.json).
GARDEN = Params(
    "garden-2", "grd", 1_800_000_000_123, genesis_bits=0x1C7FFFFF, limit_bits=0x1E7FFFFF, target_spacing_ms=30_000,
    retarget=1, half_life_ms=7_200_000, reward_delay=100, max_block_bytes=65_536, max_signature_units=100,
    max_openings=10, opening_cost=FAR // 2, initial_subsidy=7 * FAR, halving_interval=1_000_000,
    allocations=tuple(sorted((some_address(i), (i + 1) * FAR) for i in range(5))))
NARROW = Params(
    "narrow", "nrw", 1_800_000_000_000, genesis_bits=0x207FFFFF, limit_bits=0x207FFFFF, target_spacing_ms=1_000,
    retarget=0, half_life_ms=3_600_000, reward_delay=2, max_block_bytes=5_120, max_signature_units=6, max_openings=2,
    opening_cost=1_000, initial_subsidy=1, halving_interval=2,
    allocations=tuple(sorted((dev(name).address, FAR) for name in ("alice", "bob"))))


def genesis_case(text, params):
    assert decode_params(params.canonical()) == params
    header, coinbase = params.genesis(), params.genesis_coinbase()
    return {
        "description": text, "parameters": params_json(params), "parameters_bytes": params.canonical().hex(),
        "accounts_root": accounts_root(params.genesis_accounts()).hex(), "coinbase": coinbase_json(coinbase),
        "header": header_json(header), "header_bytes": header.canonical().hex(), "genesis_id": header.block_id().hex(),
        "work": str(work_of(header.bits)), "block_bytes": Block(header, coinbase).canonical().hex()}


def accepted():
    """Parameters at the ends of their ranges."""
    yield "everything at its smallest", Params(
        "a", "a", 0, genesis_bits=0x15010000, limit_bits=0x15010000, target_spacing_ms=100, retarget=0,
        half_life_ms=1_000, reward_delay=0, max_block_bytes=5_120, max_signature_units=5, max_openings=1,
        opening_cost=0, initial_subsidy=0, halving_interval=1)
    yield "everything at its largest", Params(
        "z" * 32, "z" * 16, 2**48 - 1, genesis_bits=0x1E7FFFFF, limit_bits=0x1E7FFFFF, target_spacing_ms=3_600_000,
        retarget=1, half_life_ms=604_800_000, reward_delay=10_000, max_block_bytes=16_777_216,
        max_signature_units=100_000, max_openings=100_000, opening_cost=100 * FAR, initial_subsidy=0,
        halving_interval=2**32, allocations=((bytes(32), 1), (b"\xff" * 32, 2**63 - 2)))
    yield "largest subsidy", replace(MAIN, initial_subsidy=5_000 * FAR, halving_interval=9_000_000)
    yield "every character of a name", replace(MAIN, name="0-9-a-z", prefix="abcxyz")


def bad_params():
    def changed(**fields):
        return replace(GARDEN, **fields).canonical()

    a, b = some_address("a"), some_address("b")
    low, high = min(a, b), max(a, b)
    yield "no name", changed(name=""), "R-PAR-01"
    yield "name of 33 characters", changed(name="n" * 33), "R-PAR-01"
    yield "name in upper case", changed(name="Garden"), "R-PAR-01"
    yield "name with a space", changed(name="my garden"), "R-PAR-01"
    yield "name beyond ASCII", changed(name="gärten"), "R-PAR-01"
    yield "name with a line feed behind", changed(name="garden\n"), "R-PAR-01"
    yield "no prefix", changed(prefix=""), "R-PAR-02"
    yield "prefix of 17 characters", changed(prefix="p" * 17), "R-PAR-02"
    yield "prefix with a digit", changed(prefix="far1"), "R-PAR-02"
    yield "prefix in upper case", changed(prefix="FAR"), "R-PAR-02"
    yield "genesis time 2^48", changed(genesis_time_ms=2**48), "R-PAR-03"
    yield "genesis bits zero", changed(genesis_bits=0), "R-PAR-04"
    yield "genesis bits with the sign bit", changed(genesis_bits=0x1C8FFFFF), "R-PAR-04"
    yield "genesis bits not canonical", changed(genesis_bits=0x1D000FFF), "R-PAR-04"
    yield "genesis target below 2^160", changed(genesis_bits=0x1500FFFF), "R-PAR-04"
    yield "genesis target above the limit", changed(genesis_bits=0x1E7FFFFF, limit_bits=0x1D00FFFF), "R-PAR-04"
    yield "limit bits not canonical", changed(limit_bits=0x1E000FFF), "R-PAR-05"
    yield "limit beyond 2^239 - 1 with asert", changed(limit_bits=0x1F008000), "R-PAR-05"
    yield "dev's bits with asert", changed(limit_bits=0x207FFFFF), "R-PAR-05"
    yield "limit above 0x207fffff without retargeting", changed(retarget=0, limit_bits=0x21008000), "R-PAR-05"
    yield "spacing 99 ms", changed(target_spacing_ms=99), "R-PAR-06"
    yield "spacing above an hour", changed(target_spacing_ms=3_600_001), "R-PAR-06"
    yield "retarget 2", changed(retarget=2), "R-PAR-07"
    yield "half-life 999 ms", changed(half_life_ms=999), "R-PAR-08"
    yield "half-life above a week", changed(half_life_ms=604_800_001), "R-PAR-08"
    yield "reward delay 10,001", changed(reward_delay=10_001), "R-PAR-09"
    yield "block of 5,119 bytes", changed(max_block_bytes=5_119), "R-PAR-10"
    yield "block above 16 MiB", changed(max_block_bytes=16_777_217), "R-PAR-10"
    yield "4 signature units", changed(max_signature_units=4), "R-PAR-11"
    yield "100,001 signature units", changed(max_signature_units=100_001), "R-PAR-11"
    yield "no openings", changed(max_openings=0), "R-PAR-12"
    yield "100,001 openings", changed(max_openings=100_001), "R-PAR-12"
    yield "opening cost above 100 far", changed(opening_cost=100 * FAR + 1), "R-PAR-13"
    yield "subsidy above 5,000 far", changed(initial_subsidy=5_000 * FAR + 1), "R-PAR-14"
    yield "halving interval 0", changed(halving_interval=0), "R-PAR-15"
    yield "halving interval above 2^32", changed(halving_interval=2**32 + 1), "R-PAR-15"
    yield "allocations out of order", changed(allocations=((high, 1), (low, 1))), "R-PAR-16"
    yield "an address allocated twice", changed(allocations=((low, 1), (low, 1))), "R-PAR-16"
    yield "an allocation of zero", changed(allocations=((low, 0),)), "R-PAR-16"
    without_allocations = GARDEN.canonical()[:-204]
    yield "10,001 allocations claimed", without_allocations + u32(10_001) + bytes(200), "R-PAR-16"
    yield "10,000 allocations claimed, five there", without_allocations + u32(10_000) + bytes(200), "R-ENC-01"
    yield "allocations of 2^63", changed(initial_subsidy=0, allocations=((low, 2**63),)), "R-PAR-17"
    yield "subsidies and allocations reach 2^63 together", changed(
        initial_subsidy=1, halving_interval=1, allocations=((low, 2**63 - 1),)), "R-PAR-17"
    yield "subsidies beyond 2^63", changed(initial_subsidy=5_000 * FAR, halving_interval=2**32), "R-PAR-17"
    yield "last byte missing", GARDEN.canonical()[:-1], "R-ENC-01"
    yield "one byte behind the end", GARDEN.canonical() + b"\0", "R-ENC-02"


def ends():
    for text, params in accepted():
        assert decode_params(params.canonical()) == params
        yield {"description": text, "parameters": params_json(params), "parameters_bytes": params.canonical().hex(),
               "genesis_id": params.genesis().block_id().hex()}


def subsidies():
    for params in (MAIN, NARROW):
        interval = params.halving_interval
        for height in sorted({0, 1, interval, interval + 1, 2 * interval, 2 * interval + 1, 33 * interval,
                              33 * interval + 1, 64 * interval, 64 * interval + 1, 2**64 - 1}):
            yield {"description": f"{params.name}, height {height}", "network": params.name, "height": str(height),
                   "subsidy_mites": str(params.subsidy(height))}


def vectors():
    return {
        "networks": [genesis_case(text, params) for text, params in (
            ("main", MAIN), ("test", TEST), ("dev", DEV), ("a file network with retargeting", GARDEN),
            ("a file network with near limits", NARROW))],
        "accepted_parameters": list(ends()),
        "refused_parameters": [refused(text, rule, lambda d=data: decode_params(d), parameters_bytes=data.hex())
                               for text, data, rule in bad_params()],
        "subsidies": list(subsidies())}
