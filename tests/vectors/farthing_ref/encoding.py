"""Canonical encoding (SPEC section 1), tagged hashes (section 2) and the error that names a broken rule."""

import hashlib


class Broken(Exception):
    """A rule of the specification does not hold."""

    def __init__(self, rule, error, detail=""):
        super().__init__(f"{rule} {error} {detail}".strip())
        self.rule = rule
        self.error = error


def require(condition, rule, error, detail=""):
    if not condition:
        raise Broken(rule, error, detail)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def u8(value):
    return value.to_bytes(1, "little")


def u16(value):
    return value.to_bytes(2, "little")


def u32(value):
    return value.to_bytes(4, "little")


def u64(value):
    return value.to_bytes(8, "little")


def u128(value):
    return value.to_bytes(16, "little")


def counted(data):
    """A byte or text string: its count, then its bytes."""
    return u32(len(data)) + data


class Reader:
    """Reads canonical bytes from front to back and refuses what is not canonical."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def remaining(self):
        return len(self.data) - self.at

    def take(self, count):
        require(self.remaining() >= count, "R-ENC-01", "DecodeError::Truncated", f"{count} bytes needed")
        self.at += count
        return self.data[self.at - count:self.at]

    def integer(self, size):
        return int.from_bytes(self.take(size), "little")

    def u8(self):
        return self.integer(1)

    def u16(self):
        return self.integer(2)

    def u32(self):
        return self.integer(4)

    def u64(self):
        return self.integer(8)

    def count(self, most, item_size, rule, error="DecodeError::TooMany"):
        count = self.u32()
        require(count <= most, rule, error, f"{count} items, at most {most}")
        require(count * item_size <= self.remaining(), "R-ENC-01", "DecodeError::Truncated", f"{count} items claimed")
        return count

    def counted(self, most, rule, error="DecodeError::TooMany"):
        return self.take(self.count(most, 1, rule, error))

    def finish(self):
        require(self.remaining() == 0, "R-ENC-02", "DecodeError::TrailingBytes", f"{self.remaining()} bytes")
