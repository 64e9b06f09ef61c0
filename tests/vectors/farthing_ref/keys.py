"""Public keys, addresses and signatures (SPEC section 3)."""

from .encoding import require, sha256

PREFIXES = {
    294: bytes.fromhex("30820122300d06092a864886f70d01010105000382010f003082010a0282010100"),
    422: bytes.fromhex("308201a2300d06092a864886f70d01010105000382018f003082018a0282018100"),
    550: bytes.fromhex("30820222300d06092a864886f70d01010105000382020f003082020a0282020100"),
}
EXPONENT = 65537
EXPONENT_DER = bytes.fromhex("0203010001")
DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
SIGNATURE_UNITS = {256: 1, 384: 3, 512: 5}


def encode_key(modulus):
    size = (modulus.bit_length() + 7) // 8
    spki = {256: 294, 384: 422, 512: 550}[size]
    return PREFIXES[spki] + modulus.to_bytes(size, "big") + EXPONENT_DER


def check_key(spki):
    """Returns the modulus of a well-formed key."""
    require(len(spki) in PREFIXES, "R-KEY-01", "KeyError::Length", str(len(spki)))
    prefix = PREFIXES[len(spki)]
    require(spki.startswith(prefix), "R-KEY-02", "KeyError::Encoding")
    modulus = spki[len(prefix):-len(EXPONENT_DER)]
    require(modulus[0] & 0x80, "R-KEY-03", "KeyError::ShortModulus")
    require(modulus[-1] & 1, "R-KEY-04", "KeyError::EvenModulus")
    require(spki.endswith(EXPONENT_DER), "R-KEY-05", "KeyError::Exponent")
    return int.from_bytes(modulus, "big")


def padded_block(message, size):
    filling = b"\xff" * (size - 3 - len(DIGEST_INFO) - 32)
    return b"\x00\x01" + filling + b"\x00" + DIGEST_INFO + sha256(message)


def check_signature(spki, message, signature):
    modulus = check_key(spki)
    size = modulus.bit_length() // 8
    require(len(signature) == size, "R-SIG-01", "SignatureError::Length", str(len(signature)))
    number = int.from_bytes(signature, "big")
    require(number < modulus, "R-SIG-02", "SignatureError::OutOfRange")
    recovered = pow(number, EXPONENT, modulus).to_bytes(size, "big")
    require(recovered == padded_block(message, size), "R-SIG-03", "SignatureError::Mismatch")


def address_of(spki):
    return sha256(spki)


# Text form: BIP-350.
ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
BECH32M = 0x2BC830A3
BECH32 = 1


def _polymod(values):
    state = 1
    for value in values:
        top = state >> 25
        state = (state & 0x1FFFFFF) << 5 ^ value
        for bit, term in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            if top >> bit & 1:
                state ^= term
    return state


def _expand(prefix):
    return [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]


def groups_of(data):
    """The bits of `data` in groups of five from the top, the last one filled with zeros."""
    bits = "".join(f"{byte:08b}" for byte in data)
    bits += "0" * (-len(bits) % 5)
    return [int(bits[i:i + 5], 2) for i in range(0, len(bits), 5)]


def text_of_groups(groups, prefix, constant=BECH32M):
    state = _polymod(_expand(prefix) + groups + [0] * 6) ^ constant
    checksum = [state >> 5 * (5 - i) & 31 for i in range(6)]
    return prefix + "1" + "".join(ALPHABET[g] for g in groups + checksum)


def address_text(address, prefix):
    return text_of_groups(groups_of(address), prefix)


def parse_address(text, prefix):
    syntax = "R-ADR-01", "ParseAddressError::NotBech32m"
    require(all(33 <= ord(c) <= 126 for c in text), *syntax)
    require(text in (text.lower(), text.upper()), *syntax)
    human, one, data = text.lower().rpartition("1")
    require(one == "1" and 1 <= len(human) <= 83 and len(data) >= 6, *syntax)
    require(all(c in ALPHABET for c in data), *syntax)
    groups = [ALPHABET.index(c) for c in data]
    require(_polymod(_expand(human) + groups) == BECH32M, "R-ADR-02", "ParseAddressError::NotBech32m")
    require(human == prefix, "R-ADR-03", "ParseAddressError::WrongPrefix", human)
    groups = groups[:-6]
    require(len(groups) == 52, "R-ADR-04", "ParseAddressError::WrongLength", str(len(groups)))
    require(groups[-1] & 0xF == 0, "R-ADR-04", "ParseAddressError::NotBech32m", "stray bits")
    number = 0
    for group in groups:
        number = number << 5 | group
    return (number >> 4).to_bytes(32, "big")

