"""Prints an image of buf (JSON on standard input) with a line for each field, so that a change of it can be reviewed."""

import json
import sys


def written(value, indent="\n"):
    deeper = indent + " "
    if isinstance(value, list) and value:
        return "[" + ",".join(deeper + written(part, deeper) for part in value) + indent + "]"
    # What holds no list is small.
    if isinstance(value, dict) and any(isinstance(part, list) for part in value.values()):
        parts = (f"{json.dumps(key)}: {written(part, deeper)}" for key, part in value.items())
        return "{" + ",".join(deeper + part for part in parts) + indent + "}"
    return json.dumps(value)


print(written(json.load(sys.stdin)))
