"""compact.json: bits, their targets and works, and how targets are encoded."""

from farthing_ref.difficulty import compact, target_of, work_of

from .common import refused


def good():
    yield "limit of main and test", 0x1D0FFFFF
    yield "bits of dev", 0x207FFFFF
    yield "Bitcoin's first", 0x1D00FFFF
    yield "an arbitrary one", 0x1A2B3C4D
    yield "a recent one of the ASERT runs", 0x1802AEE8
    yield "lowest target of any network, 2^160", 0x15010000
    yield "highest mantissa of a size", 0x1C7FFFFF
    yield "lowest mantissa of a size", 0x1C008000
    yield "largest limit of an asert network", 0x1E7FFFFF
    yield "size 32, lowest mantissa", 0x20008000
    yield "largest of all, size 33 (no network allows it)", 0x2100FFFF


def small():
    """Targets below 2^160: no network has them, but decoding is defined. Their works may exceed u128."""
    yield "target 1", 0x01010000
    yield "target 127", 0x017F0000
    yield "target 128", 0x02008000
    yield "target 0x7fffff", 0x037FFFFF
    yield "target 0x800000", 0x04008000
    yield "target of 2^128", 0x11010000


def encodings():
    yield "1", 1
    yield "0x80", 0x80
    yield "0x12345678, lowest byte dropped", 0x12345678
    yield "0x92345600, high bit moves to a larger size", 0x92345600
    yield "2^160", 2**160
    yield "2^160 + 1, dropped to 2^160", 2**160 + 1
    yield "2^239 - 1, truncated", 2**239 - 1
    yield "2^255 - 1, truncated", 2**255 - 1
    yield "2^256 - 1, truncated", 2**256 - 1


def bad_bits():
    yield "sign bit", 0x1D8FFFFF, "R-DIF-01"
    yield "sign bit, otherwise zero", 0x04800000, "R-DIF-01"
    yield "Bitcoin's negative 0x04923456", 0x04923456, "R-DIF-01"
    yield "all ones", 0xFFFFFFFF, "R-DIF-01"
    yield "zero", 0, "R-DIF-02"
    yield "size without mantissa", 0x1D000000, "R-DIF-02"
    yield "mantissa without size", 0x00123456, "R-DIF-02"
    yield "size 1, mantissa below its byte", 0x01003456, "R-DIF-02"
    yield "size 2, mantissa below its bytes", 0x02000056, "R-DIF-02"
    yield "beyond 2^256 by one byte", 0x21010000, "R-DIF-03"
    yield "far beyond 2^256", 0xFF123456, "R-DIF-03"
    yield "beyond 2^256 by mantissa", 0x227FFFFF, "R-DIF-03"
    yield "mantissa with a leading zero byte to spare", 0x1E000FFF, "R-DIF-04"
    yield "mantissa one, could be smaller", 0x1D000001, "R-DIF-04"
    yield "bits below the size (size 1)", 0x01123456, "R-DIF-04"
    yield "bits below the size (size 2)", 0x02123456, "R-DIF-04"
    yield "size 3 for one byte", 0x03000012, "R-DIF-04"
    yield "size 33 for 252 bits", 0x21000FFF, "R-DIF-04"


def case(text, bits, with_work):
    target = target_of(bits)
    assert compact(target) == bits
    work = {"work": str(work_of(bits))} if with_work else {}
    return {"description": text, "bits": f"{bits:08x}", "target": f"{target:064x}", **work}


def vectors():
    return {
        "compact_targets": [case(t, b, True) for t, b in good()] + [case(t, b, False) for t, b in small()],
        "encoded_targets": [{"description": text, "target": f"{target:064x}", "bits": f"{compact(target):08x}"}
                            for text, target in encodings()],
        "refused_bits": [refused(text, rule, lambda b=bits: target_of(b), bits=f"{bits:08x}")
                         for text, bits, rule in bad_bits()]}
