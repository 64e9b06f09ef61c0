"""headers.json: bytes, ids and works of headers, and headers that are refused."""

from dataclasses import replace

from farthing_ref.difficulty import target_of, work_of
from farthing_ref.encoding import sha256
from farthing_ref.network import DEV, MAIN, TEST, Header, check_header, check_header_after, decode_header

from .common import header_json, refused


def base(**fields):
    hashes = (sha256(text) for text in (b"previous", b"commitment", b"tx root"))
    return replace(Header(*hashes, time_ms=1_796_083_210_000, bits=0x207FFFFF, nonce=0), **fields)


def with_work(header):
    """The same header with the first nonce that meets its target."""
    return header.mined()


def without_work(header):
    """The same header with the first nonce that misses its target."""
    target = target_of(header.bits)
    while int.from_bytes(header.block_id(), "big") <= target:
        header = replace(header, nonce=header.nonce + 1)
    return header


def headers():
    yield "genesis of main (exempt from proof of work)", MAIN.genesis()
    yield "genesis of test (exempt from proof of work)", TEST.genesis()
    yield "genesis of dev (exempt from proof of work)", DEV.genesis()
    yield "dev target, met", with_work(base())
    yield "dev target, missed", without_work(base())
    yield "a target of 65,536 attempts, met", with_work(base(bits=0x1F00FFFF))
    yield "largest time and nonce", base(time_ms=2**48 - 1, nonce=2**64 - 1)
    yield "everything zero but version and bits", Header(bytes(32), bytes(32), bytes(32), 0, 0x1D0FFFFF, 0)
    yield "lowest target", base(bits=0x15010000)


def good(text, header):
    data = header.canonical()
    assert len(data) == 118 and decode_header(data) == header
    number = int.from_bytes(header.block_id(), "big")
    return {"description": text, "header": header_json(header), "bytes": data.hex(),
            "block_id": header.block_id().hex(), "target": f"{target_of(header.bits):064x}",
            "work": str(work_of(header.bits)), "meets_target": number <= target_of(header.bits)}


def bad_headers():
    """(description, network, bytes, rule)"""
    data = with_work(base()).canonical()
    yield "no bytes", DEV, b"", "R-HDR-01"
    yield "117 bytes", DEV, data[:-1], "R-HDR-01"
    yield "119 bytes", DEV, data + b"\0", "R-HDR-01"
    for version in (0, 2, 256, 65_535):
        yield f"version {version}", DEV, with_work(base(version=version)).canonical(), "R-HDR-02"
    yield "proof of work missed", DEV, without_work(base()).canonical(), "R-HDR-03"
    yield "proof of work missed on main", MAIN, without_work(base(bits=0x1D0FFFFF)).canonical(), "R-HDR-03"
    yield "time 2^48", DEV, with_work(base(time_ms=2**48)).canonical(), "R-TIM-03"
    yield "time 2^64 - 1", DEV, with_work(base(time_ms=2**64 - 1)).canonical(), "R-TIM-03"
    yield "bits with the sign bit", DEV, base(bits=0x1D8FFFFF).canonical(), "R-DIF-01"
    yield "bits zero", DEV, base(bits=0).canonical(), "R-DIF-02"
    yield "target beyond 2^256", DEV, base(bits=0xFF123456).canonical(), "R-DIF-03"
    yield "bits not canonical", DEV, base(bits=0x1E000FFF).canonical(), "R-DIF-04"
    yield "target above the limit of dev", DEV, base(bits=0x2100FFFF).canonical(), "R-DIF-05"
    yield "target above the limit of main", MAIN, base(bits=0x1D100000).canonical(), "R-DIF-05"
    yield "dev's bits on main", MAIN, data, "R-DIF-05"
    yield "target below 2^160", DEV, base(bits=0x1500FFFF).canonical(), "R-DIF-05"
    yield "target 1", DEV, base(bits=0x01010000).canonical(), "R-DIF-05"


def bad_steps():
    """(description, network, header, parent, parent's height, rule)"""
    parent = with_work(base())
    asert_parent = base(bits=0x1D0FFFFF, time_ms=MAIN.genesis_time_ms + 10_000)
    yield "time of the parent", DEV, base(time_ms=parent.time_ms), parent, 5, "R-TIM-01"
    yield "a millisecond before the parent", DEV, base(time_ms=parent.time_ms - 1), parent, 5, "R-TIM-01"
    later = parent.time_ms + 1
    harder = base(time_ms=later, bits=0x1F00FFFF)
    yield "other bits on a network without retargeting", DEV, harder, parent, 5, "R-DIF-06"
    yield "genesis bits where the schedule asks for less", MAIN, base(
        time_ms=asert_parent.time_ms + 1, bits=0x1D0FFFFF), asert_parent, 361, "R-DIF-06"
    yield "one below the required bits", MAIN, base(
        time_ms=asert_parent.time_ms + 1, bits=0x1D0FFFFE), asert_parent, 1, "R-DIF-06"


def vectors():
    steps = []
    for text, network, header, parent, height, rule in bad_steps():
        check = lambda h=header, p=parent, at=height, n=network: check_header_after(h, p, at, n)  # noqa: E731
        steps.append(refused(text, rule, check, network=network.name, parent_bytes=parent.canonical().hex(),
                             parent_height=str(height), header_bytes=header.canonical().hex()))
    return {
        "headers": [good(*case) for case in headers()],
        "refused_headers": [refused(text, rule, lambda d=data, n=network: check_header(d, n), network=network.name,
                                    bytes=data.hex()) for text, network, data, rule in bad_headers()],
        "refused_after_parent": steps}
