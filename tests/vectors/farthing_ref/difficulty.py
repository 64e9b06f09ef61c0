"""Compact targets, work and the required bits (SPEC section 6)."""

from .encoding import require

LOWEST_TARGET = 2**160


def compact(target):
    """Encodes a target above zero; lower bits are dropped."""
    size = (target.bit_length() + 7) // 8
    mantissa = target >> 8 * (size - 3) if size > 3 else target << 8 * (3 - size)
    if mantissa & 0x800000:
        mantissa, size = mantissa >> 8, size + 1
    return size << 24 | mantissa


def target_of(bits):
    """Decodes canonical bits."""
    size, mantissa = bits >> 24, bits & 0x7FFFFF
    require(not bits & 0x800000, "R-DIF-01", "BitsError::Negative")
    target = mantissa >> 8 * (3 - size) if size <= 3 else mantissa << 8 * (size - 3)
    require(target > 0, "R-DIF-02", "BitsError::Zero")
    require(target < 2**256, "R-DIF-03", "BitsError::Overflow")
    require(compact(target) == bits, "R-DIF-04", "BitsError::NotCanonical")
    return target


def check_range(target, limit):
    require(LOWEST_TARGET <= target <= limit, "R-DIF-05", "TargetOutOfRange")


def work_of(bits):
    return 2**256 // (target_of(bits) + 1)


def asert_factor(fraction):
    cubic = 195766423245049 * fraction + 971821376 * fraction**2 + 5127 * fraction**3
    return 65536 + (cubic + 2**47 >> 48)


def asert_bits(anchor_bits, limit, spacing, half_life, elapsed, height, lowest=LOWEST_TARGET):
    """`elapsed` and `height` are the parent's time and height less the anchor's."""
    late = elapsed - spacing * height
    exponent = abs(late) * 65536 // half_life * (1 if late >= 0 else -1)
    shift, fraction = exponent >> 16, exponent & 0xFFFF
    product = target_of(anchor_bits) * asert_factor(fraction)
    places = shift - 16
    if places > 300:
        target = limit
    elif places >= 0:
        target = product << places
    else:
        target = product >> min(-places, 600)
    return compact(min(max(target, lowest), limit))


def required_bits(params, parent_time, parent_height):
    if params.retarget == 0:
        return params.genesis_bits
    return asert_bits(params.genesis_bits, target_of(params.limit_bits), params.target_spacing_ms,
                      params.half_life_ms, parent_time - params.genesis_time_ms, parent_height)
