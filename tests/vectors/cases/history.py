"""history.json: history chains of single accounts, and claims that are refused."""

from farthing_ref.encoding import require, sha256
from farthing_ref.trees import ZERO, next_history

from .common import refused


def entry(number):
    return sha256(b"vector entry %d" % number)


CHAINS = (
    ("no entries", []),
    ("one entry", [(entry(0), 1)]),
    ("two entries in one block", [(entry(0), 7), (entry(1), 7)]),
    ("the same two the other way round", [(entry(1), 7), (entry(0), 7)]),
    ("one entry at a later height", [(entry(0), 2)]),
    ("a longer chain", [(entry(i), 3 * i + 1) for i in range(12)]),
    ("largest height", [(entry(0), 1), (entry(1), 2**64 - 1)]))


def fold(entries):
    heads = [ZERO]
    for entry_id, height in entries:
        heads.append(next_history(heads[-1], entry_id, height))
    return heads


def check_history(history, count, entries):
    require(len(entries) == count, "R-HIS-01", "EntryCount", f"{len(entries)} of {count}")
    require(fold(entries)[-1] == history, "R-HIS-02", "WrongHistory")
    heights = [height for _, height in entries]
    require(heights == sorted(heights), "R-HIS-03", "EntryMismatch")


def entries_json(entries):
    return [{"id": entry_id.hex(), "height": str(height)} for entry_id, height in entries]


def chain(text, entries):
    heads = fold(entries)
    check_history(heads[-1], len(entries), entries)
    links = [{**e, "history": head.hex()} for e, head in zip(entries_json(entries), heads[1:], strict=True)]
    return {"description": text, "chain": links, "entries": str(len(entries)), "history": heads[-1].hex()}


def bad_claims():
    """(description, claimed entries, rule), held against the longer chain."""
    entries = CHAINS[5][1]
    yield "nothing shown", [], "R-HIS-01"
    yield "oldest hidden", entries[1:], "R-HIS-01"
    yield "newest hidden", entries[:-1], "R-HIS-01"
    yield "one in the middle hidden", entries[:5] + entries[6:], "R-HIS-01"
    yield "one more at the end", entries + [(entry(99), 100)], "R-HIS-01"
    yield "one replaced", entries[:5] + [(entry(99), entries[5][1])] + entries[6:], "R-HIS-02"
    yield "two swapped", entries[:5] + [entries[6], entries[5]] + entries[7:], "R-HIS-02"
    yield "a height changed", entries[:5] + [(entries[5][0], entries[5][1] + 1)] + entries[6:], "R-HIS-02"
    yield "newest first", entries[::-1], "R-HIS-02"


def vectors():
    history = fold(CHAINS[5][1])[-1]
    falling = [(entry(0), 9), (entry(1), 8)]
    return {
        "chains": [chain(*case) for case in CHAINS],
        "refused_claims": [
            refused(text, rule, lambda e=entries: check_history(history, 12, e), history=history.hex(), entries="12",
                    claimed=entries_json(entries)) for text, entries, rule in bad_claims()] + [
            refused("heights that fall", "R-HIS-03", lambda: check_history(fold(falling)[-1], 2, falling),
                    history=fold(falling)[-1].hex(), entries="2", claimed=entries_json(falling))]}
