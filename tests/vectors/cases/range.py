"""range.json: the range of headers for 0 to 33 headers, ancestry paths, and paths that are refused."""

from dataclasses import replace

from farthing_ref.encoding import sha256
from farthing_ref.trees import chain_root, check_ancestry, path, range_join, range_leaf, range_root

from .common import refused

WORKS = (1, 2, 65_536, 2**64 - 1, 2**64 + 1, 2**90)


def leaves(count):
    """Stand-ins for headers: an id, a work and a time each."""
    return [range_leaf(sha256(b"vector header %d" % i), WORKS[i % len(WORKS)], 1_000_000 + 1_000 * i + i * i)
            for i in range(count)]


def node_json(node):
    return {"commit": node.commit.hex(), "count": str(node.count), "work": str(node.work),
            "first_time_ms": str(node.first_time), "last_time_ms": str(node.last_time)}


def leaf_json(node):
    return {"block_id": node.commit.hex(), "work": str(node.work), "time_ms": str(node.first_time)}


def root_case(count):
    case = {"description": f"{count} headers", "count": str(count), "chain_root": chain_root(leaves(count)).hex()}
    if count:
        root = range_root(leaves(count))
        case |= {"root": node_json(root), "root_bytes": root.canonical().hex()}
    return case


def ancestry(count, index):
    nodes = leaves(count)
    siblings = path(nodes, index, range_join)
    check_ancestry(nodes[index], index, count, siblings, chain_root(nodes))
    return {"description": f"header {index} of {count}", "count": str(count), "height": str(index),
            "header": leaf_json(nodes[index]), "path": [s.canonical().hex() for s in siblings],
            "chain_root": chain_root(nodes).hex()}


def bad_paths():
    """(description, leaf, index, count, path, rule), held against the range of 11 headers."""
    nodes = leaves(11)
    good = path(nodes, 6, range_join)
    leaf = nodes[6]
    yield "path one too short", leaf, 6, 11, good[:-1], "R-RNG-04"
    yield "path one too long", leaf, 6, 11, [*good, good[-1]], "R-RNG-04"
    yield "height equal to count", leaf, 11, 11, good, "R-RNG-04"
    yield "no headers", leaf, 0, 0, [], "R-RNG-04"
    yield "a sibling that claims one header more", leaf, 6, 11, [
        good[0], replace(good[1], count=good[1].count + 1), *good[2:]], "R-RNG-05"
    yield "a sibling that claims none", leaf, 6, 11, [replace(good[0], count=0), *good[1:]], "R-RNG-05"
    yield "another count with the same number of siblings", leaf, 6, 12, good, "R-RNG-05"
    yield "a left sibling that ends when the right one begins", leaf, 6, 11, [
        good[0], replace(good[1], last_time=leaf.first_time), *good[2:]], "R-RNG-06"
    yield "a sibling that ends before it begins", leaf, 6, 11, [
        *good[:-1], replace(good[-1], last_time=good[-1].first_time - 1)], "R-RNG-06"
    yield "work beyond u128", leaf, 6, 11, [replace(good[0], work=2**128 - 1), *good[1:]], "R-RNG-06"
    yield "work shifted from one sibling to the next", leaf, 6, 11, [
        replace(good[0], work=good[0].work + 1), replace(good[1], work=good[1].work - 1), *good[2:]], "R-RNG-07"
    yield "another header", replace(leaf, commit=sha256(b"another")), 6, 11, good, "R-RNG-07"
    yield "more work claimed for the header", replace(leaf, work=leaf.work + 1), 6, 11, good, "R-RNG-07"
    yield "a later time claimed for the header", replace(
        leaf, first_time=leaf.first_time + 1, last_time=leaf.last_time + 1), 6, 11, good, "R-RNG-07"
    yield "a sibling's commit changed", leaf, 6, 11, [replace(good[0], commit=bytes(32)), *good[1:]], "R-RNG-07"


def vectors():
    expected = chain_root(leaves(11))
    return {
        "headers": [leaf_json(leaf) for leaf in leaves(33)],
        "roots": [root_case(count) for count in range(34)],
        "ancestry_paths": [ancestry(count, index) for count in (1, 2, 3, 5, 8, 11, 16, 33) for index in range(count)],
        "refused_paths": [
            refused(text, rule, lambda a=(leaf, index, count, siblings): check_ancestry(*a, expected),
                    chain_root=expected.hex(), header=leaf_json(leaf), height=str(index), count=str(count),
                    path=[s.canonical().hex() for s in siblings])
            for text, leaf, index, count, siblings, rule in bad_paths()]}
