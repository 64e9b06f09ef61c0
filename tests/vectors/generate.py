#!/usr/bin/env python3
"""Recomputes the vectors with the reference implementation in farthing_ref/.

    generate.py [--check]   compare with the committed files, byte for byte; non-zero exit on any difference
    generate.py --write     write them anew

Needs Python 3.11 and the packages of requirements.txt.
"""

import argparse
import importlib
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
FILES = ("keys", "addresses", "signatures", "transactions", "compact", "asert", "headers", "merkle", "accounts",
         "history", "range", "proofs", "genesis", "blocks", "short_ids")


def rendered(value, indent=0):
    """JSON with one case a line where it fits, so that a diff shows which case changed."""
    flat = json.dumps(value, ensure_ascii=True)
    if len(flat) + indent <= 116 or not isinstance(value, (dict, list)) or not value:
        return flat
    pad = " " * (indent + 1)
    if isinstance(value, dict):
        items = (f"{json.dumps(k)}: {rendered(v, indent + 1)}" for k, v in value.items())
        opening, closing = "{", "}"
    else:
        items = (rendered(v, indent + 1) for v in value)
        opening, closing = "[", "]"
    return f"{opening}\n" + ",\n".join(pad + item for item in items) + f"\n{' ' * indent}{closing}"


def count_cases(document):
    return sum(len(v) for v in document.values() if isinstance(v, list))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="compare with the committed files (the default)")
    mode.add_argument("--write", action="store_true", help="write the files anew")
    parser.add_argument("files", nargs="*", metavar="FILE", help="only these, such as keys or blocks")
    arguments = parser.parse_args()
    unknown = set(arguments.files) - set(FILES)
    if unknown:
        parser.error(f"no such file: {', '.join(sorted(unknown))}; there are {', '.join(FILES)}")
    different = []
    for name in arguments.files or FILES:
        document = importlib.import_module(f"cases.{name}").vectors()
        text = rendered(document) + "\n"
        path = HERE / f"{name}.json"
        if arguments.write:
            path.write_text(text, encoding="ascii")
            verdict = "written"
        elif path.exists() and path.read_bytes() == text.encode("ascii"):
            verdict = "equal"
        else:
            verdict = "DIFFERENT" if path.exists() else "MISSING"
            different.append(path.name)
        print(f"{path.name:20} {count_cases(document):5} cases  {verdict}")
    if different:
        print(f"not as computed: {', '.join(different)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    sys.exit(main())
