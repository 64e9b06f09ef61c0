"""Hosts of a test, each a network namespace with a node, joined by bridges in a namespace of their own. Nothing is made in
the machine's own network, names tell which process they belong to, and all of it goes with the world."""

import itertools
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
# How long a condition may take to come true, and how often it is looked at.
PATIENCE_S = 60.0
LOOK_EVERY_S = 0.05
LOG_LINES = 25
PORT = 50061
# Who gets the rewards: alice of the dev network, whose key is public.
ALICE = "dfar1v4nmv0m34s9dm8jshxx8shrvhmxed393xgzffw8dxgl0fvdp7keq65zmrm"
PREFIX = "farthing-test"
_numbers = itertools.count(1)


class Failed(Exception):
    """What was expected, and what was seen instead."""


def run(*command: object, check: bool = True) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if check and done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: exit code {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def sweep() -> None:
    """Removes what a run left behind that was killed. Its processes died with it."""

    def is_abandoned(name: str) -> bool:
        owner = re.fullmatch(rf"{PREFIX}-(\d+)-.*", name)
        return owner is not None and not Path("/proc", owner[1]).exists()

    for line in run("ip", "netns", "list").splitlines():
        if is_abandoned(line.split()[0]):
            run("ip", "netns", "del", line.split()[0], check=False)
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}-*"):
        if is_abandoned(folder.name):
            shutil.rmtree(folder, ignore_errors=True)


def dies_with_us(*command: object) -> list[str]:
    """The same command, killed when the thread that starts it ends, however that happens."""
    return ["setpriv", "--pdeathsig", "KILL", *map(str, command)]


def until(what: str, look: Callable[[], object], patience: float = PATIENCE_S) -> None:
    """Waits until look() gives None; whatever else it gives is what it saw instead."""
    deadline = time.monotonic() + patience
    while (seen := look()) is not None:
        if time.monotonic() >= deadline:
            raise Failed(f"expected: {what}, within {patience:.0f} s\nseen: {seen}")
        time.sleep(LOOK_EVERY_S)


class World:
    """Namespaces with nodes. Use it in a with statement."""

    def __init__(self, name: str, binary: Path) -> None:
        self.name, self.binary = name, binary
        self.prefix = f"{PREFIX}-{os.getpid()}-{next(_numbers)}"
        self.hub = self.namespace("hub")
        self.folder = Path(tempfile.gettempdir(), self.namespace("data"))
        self.folder.mkdir(mode=0o700)
        self.hosts: list[Host] = []
        self.helpers: list[subprocess.Popen[str]] = []

    def namespace(self, name: str) -> str:
        return f"{self.prefix}-{name}"

    def __enter__(self) -> "World":
        self.add_namespace(self.hub)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        for host in self.hosts:
            host.kill()
        for helper in self.helpers:
            helper.kill()
            helper.wait()
        for line in run("ip", "netns", "list", check=False).splitlines():
            if line.split()[0].startswith(self.prefix + "-"):
                run("ip", "netns", "del", line.split()[0], check=False)
        if error is not None:
            for host in self.hosts:
                print(f"--- {self.name}: the log of {host.name} ends with", *host.log_tail(), sep="\n", flush=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def add_namespace(self, name: str) -> None:
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")

    def bridge(self, name: str) -> None:
        run("ip", "-n", self.hub, "link", "add", name, "type", "bridge")
        run("ip", "-n", self.hub, "link", "set", name, "up")

    def plug(self, port: str, bridge: str) -> None:
        """Puts a device of the hub on a bridge and switches it on."""
        run("ip", "-n", self.hub, "link", "set", port, "master", bridge, "up")

    def port(self, port: str, up: bool) -> None:
        """Pulls out a cable, or puts it in: nobody at either end of a connection is told."""
        run("ip", "-n", self.hub, "link", "set", port, "up" if up else "down")

    def host(self, name: str, address: str, bridge: str = "br0") -> "Host":
        """A host with an address, on a bridge by a port of its name."""
        host = self.bare_host(name, address)
        run("ip", "link", "add", "eth0", "netns", host.namespace, "type", "veth", "peer", "name", name, "netns", self.hub)
        self.plug(name, bridge)
        host.configure()
        return host

    def bare_host(self, name: str, address: str) -> "Host":
        """A host whose device eth0 is still to come."""
        host = Host(self, name, address)
        self.hosts.append(host)
        self.add_namespace(host.namespace)
        return host

    def agree(self, hosts: list["Host"], tip: str) -> None:
        """Waits until these hosts have this tip."""

        def look() -> object:
            tips = {host.name: host.tip() for host in hosts}
            return None if all(found[1] == tip for found in tips.values()) else tips

        until(f"{[host.name for host in hosts]} have the block {tip}", look)


class Host:
    """A namespace with a node in it."""

    def __init__(self, world: World, name: str, address: str) -> None:
        self.world, self.name, self.address = world, name, address
        self.namespace = world.namespace(name)
        self.folder = world.folder / name
        self.folder.mkdir()
        self.log = self.folder / "node.log"
        self.ready = self.folder / "ready.json"
        self.node: subprocess.Popen[bytes] | None = None

    def configure(self) -> None:
        """Gives the device its address and switches it on."""
        family = ["nodad"] if ":" in self.address else []
        run("ip", "-n", self.namespace, "address", "add", self.address, "dev", "eth0", *family)
        run("ip", "-n", self.namespace, "link", "set", "eth0", "up")

    def move(self, address: str) -> None:
        """Another address, as a host gets it that comes back elsewhere."""
        run("ip", "-n", self.namespace, "address", "flush", "dev", "eth0")
        self.address = address
        self.configure()

    def endpoint(self) -> str:
        """Where others dial it."""
        host = self.address.split("/")[0]
        return f"[{host}]:{PORT}" if ":" in host else f"{host}:{PORT}"

    def start(self, *options: str, listen: str = f"0.0.0.0:{PORT}") -> None:
        """Starts the node and waits until it serves."""
        self.ready.unlink(missing_ok=True)
        node = ["--network", "dev", "--data-dir", self.folder / "data", "--ready-file", self.ready]
        node += ["--rpc-listen", "127.0.0.1:50051", "--p2p-listen", listen, "--log", "info,farthing_node::peers=debug"]
        inside = ["ip", "netns", "exec", self.namespace]
        with self.log.open("ab") as log:
            command = [*inside, *dies_with_us(self.world.binary, *node, *options)]
            self.node = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def look() -> object:
            if self.node.poll() is not None:
                raise Failed(f"expected: {self.name} serves\nseen: it ended with exit code {self.node.returncode}")
            return None if self.ready.exists() else "no ready file"

        until(f"{self.name} serves", look)

    def kill(self) -> None:
        """SIGKILL."""
        if self.node is not None:
            self.node.kill()
            self.node.wait()
            self.node = None

    def ask(self, *words: object) -> dict:
        """What the node answers on its admin socket."""
        answer = run(self.world.binary, "--network", "dev", "--data-dir", self.folder / "data", *words, "--json")
        return json.loads(answer)

    def tip(self) -> tuple[int, str]:
        status = self.ask("status")
        return status["tip_height"], status["tip_id"]

    def mine(self, blocks: int = 1) -> str:
        """Mines blocks now, and gives the last one's id."""
        return self.ask("mine", blocks, "--to", ALICE)["blocks"][-1]["block_id"]

    def peers(self) -> list[dict]:
        return self.ask("peers", "list")["peers"]

    def meets(self, count: int) -> None:
        """Waits until it has so many peers."""

        def look() -> object:
            found = [f"{peer['direction']} {peer['address']}" for peer in self.peers()]
            return None if len(found) == count else found

        until(f"{self.name} has {count} peers", look)

    def blames_nobody(self) -> None:
        answer = self.ask("peers", "list")
        scores = [peer["address"] for peer in answer["peers"] if peer["score"]]
        if answer["bans"] or scores:
            raise Failed(f"expected: {self.name} blames nobody\nseen: bans {answer['bans']}, points {scores}")

    def log_tail(self) -> list[str]:
        return self.log.read_text(errors="replace").splitlines()[-LOG_LINES:] if self.log.exists() else []
