"""asert.json: the ten published runs of aserti3-2d and runs of our own, on our parameters.

The published runs (Bitcoin Cash Node, gen_asert_test_vectors) are defined by an anchor, a start, and the steps from
block to block. They are adapted by parameters only: genesis is the anchor, so heights are relative to it; times are in
milliseconds, and the anchor's own time is its parent's plus one spacing; the lowest target is 2^160 instead of 1. Each
runs twice: with the published spacing and half-life, where the `bits` are the published ones (save in runs 3 and 4,
which start from the lowest target, and below 2^160 in run 5), and with those of main.
"""

import functools
import math
import random

from farthing_ref.difficulty import asert_bits, target_of

PUBLISHED = {"target_spacing_ms": 600_000, "half_life_ms": 172_800_000, "limit_bits": 0x1D00FFFF}
MAIN = {"target_spacing_ms": 10_000, "half_life_ms": 3_600_000, "limit_bits": 0x1D0FFFFF}
LOWEST = 0x15010000
RECENT = 0x1802AEE8
GENESIS_TIME = 1_796_083_200_000


class Twister(random.Random):
    """C++'s std::mt19937, seeded with one number."""

    def __init__(self, seed):
        super().__init__()
        state = [seed]
        for i in range(1, 624):
            state.append(1812433253 * (state[-1] ^ state[-1] >> 30) + i & 0xFFFFFFFF)
        self.setstate((3, (*state, 624), None))

    def solve_seconds(self):
        """One draw of std::exponential_distribution<double>{1 / 600.0} as libstdc++ makes it, whole seconds."""
        low, high = self.getrandbits(32), self.getrandbits(32)
        return int(-math.log(1.0 - (low + high * 2.0**32) / 2.0**64) / (1 / 600.0))


@functools.cache
def solve_times():
    """The seconds of the published random runs; each run starts the generator anew."""
    twister = Twister(424242)
    return [twister.solve_seconds() for _ in range(1_000)]


# A run: name, anchor bits (None: the limit), first height and time behind the anchor, number of blocks, and a function
# that gives (heights, milliseconds) from block i to the next.

def published_runs(spacing, half_life):
    """Times scale with the spacing: a published second is a six hundredth of it."""
    def scaled(seconds):
        return seconds * spacing // 600

    yield "run1 - steady blocks at the limit", None, 1, spacing, 10, lambda i: (1, spacing)
    yield "run2 - steady blocks at an arbitrary target", 0x1A2B3C4D, 1, spacing, 10, lambda i: (1, spacing)
    yield "run3 - steady blocks at the lowest target", LOWEST, 1, spacing, 10, lambda i: (1, spacing)
    yield ("run4 - from the lowest target, a half-life late each block, doubling the target", LOWEST, 1,
           spacing + half_life, 90, lambda i: (1, spacing + half_life))
    yield ("run5 - from the limit, a half-life of heights each block without time, halving the target", None, 1,
           -spacing, 90, lambda i: (half_life // spacing, 0))
    yield ("run6 - random solve times, stable hash rate", RECENT, 1, spacing, 1_000,
           lambda i: (1, scaled(solve_times()[i - 1])))
    yield ("run7 - random solve times, hash rate ramping up every ten blocks", RECENT, 1, spacing, 1_000,
           lambda i: (1, scaled(solve_times()[i - 1] // (1 + i // 10))))
    yield ("run8 - random solve times, hash rate ramping down every ten blocks", RECENT, 1, spacing, 500,
           lambda i: (1, scaled(solve_times()[i - 1] * (1 + i // 10))))
    yield "run9 - blocks in half the spacing", RECENT, 1, spacing // 2, 10, lambda i: (1, spacing // 2)
    yield "run10 - blocks in one and a half spacings", RECENT, 1, spacing * 3 // 2, 10, lambda i: (1, spacing * 3 // 2)


def own_runs(spacing, half_life):
    hour = 3_600_000
    usual = 0x1C0FFFFF
    yield ("time goes back by hours every fifth block (the formula alone; R-TIM-01 forbids it)", usual, 1, spacing, 40,
           lambda i: (1, spacing - 3 * hour if i % 5 == 0 else spacing))
    yield ("hash rate times ten for 360 blocks, then back: every tenth block", usual, 10, 10 * spacing, 108,
           lambda i: (10, spacing if i <= 36 else 10 * spacing))
    yield ("hash rate a tenth for 36 blocks, then back", usual, 1, spacing, 72,
           lambda i: (1, 10 * spacing if i <= 36 else spacing))
    yield ("60 s ahead, then exactly on schedule", usual, 1, spacing, 12,
           lambda i: (1, spacing + 60_000 if i % 2 else spacing - 60_000))
    yield "one millisecond a block", usual, 1, 1, 40, lambda i: (1, 1)
    yield "a millisecond late more each block: rounding of small exponents", usual, 1, spacing + 1, 120, lambda i: (
        1, spacing + 1)
    yield "a millisecond early more each block: truncation toward zero", usual, 1, spacing - 1, 120, lambda i: (
        1, spacing - 1)
    yield "a year asleep between blocks", usual, 1, spacing, 4, lambda i: (1, 365 * 24 * hour)
    yield "heights of a century", usual, 315_360_000, 315_360_000 * spacing + 7, 6, lambda i: (1, spacing + 1)


def extremes():
    """Single steps at the ends of every type: (description, anchor bits, genesis time, parent time, parent height)."""
    u64 = 2**64 - 1
    yield "first block: the parent is genesis", 0x1D0FFFFF, GENESIS_TIME, GENESIS_TIME, 0
    yield "latest time of all behind genesis at time 0", 0x1C0FFFFF, 0, 2**48 - 1, 1
    yield "latest time of all, lowest anchor target", LOWEST, 0, 2**48 - 1, 1
    yield "largest height at time 0", 0x1D0FFFFF, 0, 0, u64
    yield "largest height at the latest time", 0x1D0FFFFF, 0, 2**48 - 1, u64
    yield "largest u64 as time (R-TIM-03 forbids it)", 0x1C0FFFFF, 0, u64, 0
    yield "largest u64 as time of genesis and height", 0x1C0FFFFF, u64, 0, u64
    yield "exactly one half-life late", 0x1C0FFFFF, GENESIS_TIME, GENESIS_TIME + 3_610_000, 1
    yield "exactly one half-life early", 0x1C0FFFFF, GENESIS_TIME, GENESIS_TIME + 10_000, 361
    yield "one millisecond less than a half-life late", 0x1C0FFFFF, GENESIS_TIME, GENESIS_TIME + 3_609_999, 1
    yield "one millisecond less than a half-life early", 0x1C0FFFFF, GENESIS_TIME, GENESIS_TIME + 10_001, 361


# Figures of the published files at (run, iteration), to hold the adapted runs against.
FIGURES = {
    (1, 10): "1d00ffff", (2, 10): "1a2b3c4d", (5, 1): "1d00fec5", (5, 2): "1c7f62c0", (5, 57): "1600fec5",
    (6, 2): "1802ad91", (6, 125): "1802b2cb", (6, 619): "1802c0ec", (7, 300): "180172db", (7, 637): "1800a788",
    (8, 100): "180807f0", (8, 300): "1a03a5c8", (8, 484): "1d00ffff", (9, 1): "1802ae16", (9, 10): "1802a6b7",
    (10, 1): "1802afbb", (10, 10): "1802b73d"}


def check_figures(runs):
    for (number, iteration), bits in FIGURES.items():
        computed = runs[number - 1]["parent_height_parent_time_ms_required_bits"][iteration - 1][2]
        assert computed == bits, f"run{number}, iteration {iteration}: {computed}, published {bits}"


def run(text, parameters, anchor_bits, height, elapsed, blocks, step):
    anchor_bits = parameters["limit_bits"] if anchor_bits is None else anchor_bits
    steps = []
    for i in range(1, blocks + 1):
        bits = asert_bits(anchor_bits, target_of(parameters["limit_bits"]), parameters["target_spacing_ms"],
                          parameters["half_life_ms"], elapsed, height)
        steps.append([str(height), str(GENESIS_TIME + elapsed), f"{bits:08x}"])
        more_heights, more_time = step(i)
        height, elapsed = height + more_heights, elapsed + more_time
    return {"description": text, "genesis_bits": f"{anchor_bits:08x}", **written(parameters),
            "genesis_time_ms": str(GENESIS_TIME), "parent_height_parent_time_ms_required_bits": steps}


def written(parameters):
    return {"limit_bits": f"{parameters['limit_bits']:08x}",
            "target_spacing_ms": str(parameters["target_spacing_ms"]), "half_life_ms": str(parameters["half_life_ms"])}


def single(text, bits, genesis_time, time, height):
    required = asert_bits(bits, target_of(MAIN["limit_bits"]), MAIN["target_spacing_ms"], MAIN["half_life_ms"],
                          time - genesis_time, height)
    return {"description": text, "genesis_bits": f"{bits:08x}", **written(MAIN), "genesis_time_ms": str(genesis_time),
            "parent_height_parent_time_ms_required_bits": [[str(height), str(time), f"{required:08x}"]]}


def vectors():
    adapted = []
    for name, parameters in (("published parameters", PUBLISHED), ("parameters of main", MAIN)):
        sizes = parameters["target_spacing_ms"], parameters["half_life_ms"]
        adapted += [run(f"{text}; {name}", parameters, *rest) for text, *rest in published_runs(*sizes)]
    check_figures(adapted)
    sizes = MAIN["target_spacing_ms"], MAIN["half_life_ms"]
    return {"published_runs": adapted,
            "own_runs": [run(text, MAIN, *rest) for text, *rest in own_runs(*sizes)],
            "single_steps": [single(*case) for case in extremes()]}
