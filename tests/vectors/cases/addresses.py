"""addresses.json: texts that are read, and texts that are refused."""

from farthing_ref import keys

from .common import dev, refused, some_address


def good():
    for text, address in (("alice of dev", dev("alice").address), ("all zeros", bytes(32)),
                          ("all ones", b"\xff" * 32), ("nobody's", some_address(1))):
        for prefix in ("far", "tfar", "dfar", "abcdefghijklmnop"):
            shown = keys.address_text(address, prefix)
            yield f"{text}, prefix {prefix}", prefix, shown, shown, address
    shown = keys.address_text(dev("alice").address, "far")
    yield "upper case throughout", "far", shown.upper(), shown, dev("alice").address


def bad_texts():
    address = dev("alice").address
    shown = keys.address_text(address, "far")
    groups = keys.groups_of(address)
    at = len("far1") + 10
    other = keys.ALPHABET[(keys.ALPHABET.index(shown[at]) + 1) % 32]
    assert shown[at] != shown[at + 1]
    yield "empty", "", "R-ADR-01"
    yield "mixed case", shown[:at] + shown[at:].upper(), "R-ADR-01"
    yield "prefix in upper case only", "FAR" + shown[3:], "R-ADR-01"
    yield "space before", " " + shown, "R-ADR-01"
    yield "line feed behind", shown + "\n", "R-ADR-01"
    yield "no separator", shown.replace("1", "", 1), "R-ADR-01"
    yield "no prefix", shown[3:], "R-ADR-01"
    yield "a character outside the alphabet (b)", shown[:at] + "b" + shown[at + 1:], "R-ADR-01"
    yield "a letter that is not ASCII", shown[:at] + "\u00e9" + shown[at + 1:], "R-ADR-01"
    yield "five checksum characters and no data", "far1qqqqq", "R-ADR-01"
    yield "hex instead", address.hex(), "R-ADR-01"
    yield "65 bytes, more than 90 characters", keys.text_of_groups(groups * 2, "far"), "R-ADR-04"
    yield "one character changed", shown[:at] + other + shown[at + 1:], "R-ADR-02"
    yield "two neighbours swapped", shown[:at] + shown[at + 1] + shown[at] + shown[at + 2:], "R-ADR-02"
    yield "last character missing", shown[:-1], "R-ADR-02"
    yield "one q too many before the checksum", shown[:-6] + "q" + shown[-6:], "R-ADR-02"
    yield "prefix replaced, checksum kept", "tfar" + shown[3:], "R-ADR-02"
    yield "bech32 checksum instead of bech32m", keys.text_of_groups(groups, "far", keys.BECH32), "R-ADR-02"
    yield "no checksum constant", keys.text_of_groups(groups, "far", 0), "R-ADR-02"
    yield "address of test", keys.address_text(address, "tfar"), "R-ADR-03"
    yield "address of dev", keys.address_text(address, "dfar"), "R-ADR-03"
    yield "address of test in upper case", keys.address_text(address, "tfar").upper(), "R-ADR-03"
    yield "prefix and address run together", keys.address_text(address, "far1"), "R-ADR-03"
    yield "31 bytes", keys.address_text(address[:31], "far"), "R-ADR-04"
    yield "33 bytes", keys.address_text(address + b"\0", "far"), "R-ADR-04"
    yield "20 bytes", keys.address_text(address[:20], "far"), "R-ADR-04"
    yield "no data", keys.address_text(b"", "far"), "R-ADR-04"
    yield "a witness version before the data", keys.text_of_groups([1] + groups, "far"), "R-ADR-04"
    yield "lowest of the four filling bits set", keys.text_of_groups(groups[:-1] + [groups[-1] | 1], "far"), "R-ADR-04"
    yield "highest of the four filling bits set", keys.text_of_groups(groups[:-1] + [groups[-1] | 8], "far"), "R-ADR-04"


def vectors():
    addresses = []
    for text, prefix, shown, canonical, address in good():
        assert keys.parse_address(shown, prefix) == address
        addresses.append({"description": text, "prefix": prefix, "text": shown, "canonical_text": canonical,
                          "address": address.hex()})
    return {
        "addresses": addresses,
        "refused_addresses": [refused(text, rule, lambda s=shown: keys.parse_address(s, "far"), prefix="far",
                                      text=shown) for text, shown, rule in bad_texts()]}
