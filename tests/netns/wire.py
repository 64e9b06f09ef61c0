#!/usr/bin/env python3
"""Wires between network namespaces that delay and lose frames, for kernels without netem: what TCP does about it, it does.

    wire.py --delay-ms 20 --jitter-ms 10 --loss 0.05 --seed 7 NAME:NAMESPACE=NAME:NAMESPACE...

Each wire is a pair of TAP devices, one in each namespace. Prints "ready" once they are there, and on SIGTERM how many
frames were carried and lost, as JSON. Needs root.
"""

import argparse
import fcntl
import heapq
import itertools
import json
import os
import random
import selectors
import signal
import struct
import subprocess
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
# More than any device of ours lets through.
FRAME_BYTES = 65_536


def tap(name: str, namespace: str, temporary: str) -> int:
    """A TAP device in a namespace. It is made in our own, under a name that nobody else takes there."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH", temporary.encode(), IFF_TAP | IFF_NO_PI))
    subprocess.run(["ip", "link", "set", temporary, "netns", namespace, "name", name], check=True)
    return fd


def carry(others: dict[int, int], delay: float, jitter: float, loss: float, chance: random.Random) -> dict[str, int]:
    """Carries frames until SIGTERM."""
    counts = {"carried": 0, "lost": 0}
    order = itertools.count()
    under_way: list[tuple[float, int, int, bytes]] = []
    # No frame overtakes another one of its way.
    last: dict[int, float] = {}
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    selector = selectors.DefaultSelector()
    for fd in others:
        selector.register(fd, selectors.EVENT_READ)
    print("ready", flush=True)
    while not stopped:
        now = time.monotonic()
        while under_way and under_way[0][0] <= now:
            _, _, to, frame = heapq.heappop(under_way)
            try:
                os.write(to, frame)
                counts["carried"] += 1
            except OSError:
                counts["lost"] += 1  # The device is down, as a cut cable.
        wait = max(0.0, under_way[0][0] - now) if under_way else 0.2
        for key, _ in selector.select(min(wait, 0.2)):
            try:
                frame = os.read(key.fd, FRAME_BYTES)
            except OSError:
                continue
            to = others[key.fd]
            if chance.random() < loss:
                counts["lost"] += 1
                continue
            due = max(time.monotonic() + delay + jitter * chance.random(), last.get(to, 0.0))
            last[to] = due
            heapq.heappush(under_way, (due, next(order), to, frame))
    return counts


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay-ms", type=float, default=0)
    parser.add_argument("--jitter-ms", type=float, default=0)
    parser.add_argument("--loss", type=float, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("wires", nargs="+")
    arguments = parser.parse_args()
    others = {}
    for at, wire in enumerate(arguments.wires):
        ends = [end.split(":") for end in wire.split("=")]
        one, other = (tap(*end, f"fw{os.getpid()}{'ab'[side]}{at}") for side, end in enumerate(ends))
        others |= {one: other, other: one}
    chance = random.Random(arguments.seed)
    counts = carry(others, arguments.delay_ms / 1e3, arguments.jitter_ms / 1e3, arguments.loss, chance)
    json.dump(counts, sys.stdout)


main()
