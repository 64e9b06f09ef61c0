"""merkle.json: transaction trees of 1 to 17 leaves with every path, and paths that are refused."""

from farthing_ref.encoding import sha256
from farthing_ref.trees import check_inclusion, path, root, tx_node, tx_root

from .common import refused


def leaves(count):
    """Any 32 bytes serve as leaves: in a block they are the coinbase leaf and the wire ids."""
    return [sha256(b"vector leaf %d" % i) for i in range(count)]


def tree(count):
    all_leaves = leaves(count)
    expected = tx_root(all_leaves)
    paths = []
    for index, leaf in enumerate(all_leaves):
        siblings = path(all_leaves, index, tx_node)
        check_inclusion(leaf, index, count, siblings, expected)
        paths.append([s.hex() for s in siblings])
    return {"description": f"{count} leaves", "leaves": [leaf.hex() for leaf in all_leaves],
            "tree_root": root(all_leaves, tx_node).hex(), "tx_root": expected.hex(), "paths": paths}


def bad_paths():
    """(description, leaf, index, count, path, rule), held against the tree of 11 leaves."""
    all_leaves = leaves(11)
    good = path(all_leaves, 6, tx_node)
    last = path(all_leaves, 10, tx_node)
    yield "path one too short", all_leaves[6], 6, 11, good[:-1], "R-MRK-03"
    yield "path one too long", all_leaves[6], 6, 11, good + [bytes(32)], "R-MRK-03"
    yield "no path", all_leaves[6], 6, 11, [], "R-MRK-03"
    yield "index equal to count", all_leaves[6], 11, 11, good, "R-MRK-03"
    yield "index beyond count", all_leaves[6], 4_000_000_000, 11, good, "R-MRK-03"
    yield "count zero", all_leaves[6], 0, 0, [], "R-MRK-03"
    yield "last leaf with a longer path", all_leaves[10], 10, 11, [last[0], bytes(32), *last[1:] * 2], "R-MRK-03"
    yield "another leaf", all_leaves[7], 6, 11, good, "R-MRK-04"
    yield "neighbouring index", all_leaves[6], 7, 11, good, "R-MRK-04"
    yield "count of the same shape of path", all_leaves[6], 6, 12, good, "R-MRK-04"
    yield "two siblings swapped", all_leaves[6], 6, 11, [good[1], good[0], *good[2:]], "R-MRK-04"
    one_bit = bytes([good[0][0] ^ 1]) + good[0][1:]
    yield "sibling changed in one bit", all_leaves[6], 6, 11, [one_bit, *good[1:]], "R-MRK-04"
    node = tx_node(all_leaves[6], all_leaves[7])
    yield "an inner node as leaf of a smaller tree", node, 3, 6, good[1:], "R-MRK-04"
    yield "the tree's root as only leaf", root(all_leaves, tx_node), 0, 1, [], "R-MRK-04"


def vectors():
    expected = tx_root(leaves(11))
    return {
        "trees": [tree(count) for count in range(1, 18)],
        "refused_paths": [
            refused(text, rule, lambda a=(leaf, index, count, siblings): check_inclusion(*a, expected),
                    tx_root=expected.hex(), leaf=leaf.hex(), index=str(index), count=str(count),
                    path=[s.hex() for s in siblings])
            for text, leaf, index, count, siblings, rule in bad_paths()]}
