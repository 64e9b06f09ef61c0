"""short_ids.json: what stands for a transaction in a compact block."""

from farthing_ref.encoding import sha256, u16, u32, u64
from farthing_ref.short_ids import short_id, short_id_key


def header(number):
    """Any header serves: nothing but its bytes counts here."""
    hashes = b"".join(sha256(b"vector header %d part %d" % (number, part)) for part in range(3))
    return u16(1) + hashes + u64(1_700_000_000_000 + number) + u32(0x1D0FFFFF) + u64(number)


def case(number, salt, description):
    key = short_id_key(header(number), salt)
    wire_ids = [sha256(b"vector wire id %d" % n) for n in range(4)] + [bytes(32), bytes([255]) * 32]
    ids = [short_id(key, wire_id) for wire_id in wire_ids]
    return {"description": description, "header": header(number).hex(), "salt": salt.hex(), "key": key.hex(),
            "wire_ids": [wire_id.hex() for wire_id in wire_ids], "short_ids": [one.hex() for one in ids]}


def vectors():
    return {"short_ids": [
        case(1, bytes(8), "salt of zeros"),
        case(1, bytes(range(8)), "the same block under another salt"),
        case(2, bytes(range(8)), "another block under the same salt"),
        case(3, bytes([255]) * 8, "salt of ones"),
    ]}
