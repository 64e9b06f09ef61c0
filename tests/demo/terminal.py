#!/usr/bin/env python3
"""Runs a command on a terminal of its own and plays the person in front of it.

    terminal.py STEP... -- COMMAND...

    see=PATTERN     waits until the screen shows it, behind what was seen before
    type=TEXT       types a line
    key=C           presses Ctrl and this letter
    close=          closes the terminal, as its window does
    run=COMMAND     runs a shell command beside it, which must succeed; its output goes to stderr

What the screen showed goes to stdout. Ends with the command's exit code, as a shell tells it; with 99 and a reason if a
step failed or the command did not end: then its terminal is closed, and it is asked to end, and killed if it does not.
"""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

STEP_SECONDS = 60
END_SECONDS = 20
PARTING_SECONDS = 15
FAILED = 99


class Failed(Exception):
    """A step could not be done; its text says why."""


class Screen:
    """A command, and the terminal that it runs on."""

    def __init__(self, command: list[str]) -> None:
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            try:
                # Whoever started the checks in the background had Ctrl-C ignored, and no shell can undo that.
                for number in (signal.SIGINT, signal.SIGQUIT):
                    signal.signal(number, signal.SIG_DFL)
                os.execvp(command[0], command)
            finally:
                os._exit(127)
        self.unseen = b""
        self.open = True
        self.code: int | None = None

    def read(self, deadline: float) -> None:
        """Shows what comes next, if something does before the deadline."""
        left = max(0.0, deadline - time.monotonic())
        if not select.select([self.terminal], [], [], left)[0]:
            return
        try:
            some = os.read(self.terminal, 4096)
        except OSError:  # that is how a terminal says that nobody is left on it
            some = b""
        self.open = bool(some)
        self.unseen += some
        sys.stdout.buffer.write(some)
        sys.stdout.flush()

    def see(self, pattern: str) -> None:
        deadline = time.monotonic() + STEP_SECONDS
        while not (found := re.search(pattern.encode(), self.unseen)):
            if not self.open:
                raise Failed(f"it ended before it showed {pattern!r}")
            if time.monotonic() >= deadline:
                raise Failed(f"{pattern!r} did not show within {STEP_SECONDS} s")
            self.read(deadline)
        self.unseen = self.unseen[found.end() :]

    def write(self, some: bytes) -> None:
        os.write(self.terminal, some)

    def close(self) -> None:
        os.close(self.terminal)
        self.open = False

    def ended(self, seconds: float) -> bool:
        """Whether the command ends in this time."""
        deadline = time.monotonic() + seconds
        while self.code is None and time.monotonic() < deadline:
            if self.open:
                self.read(min(deadline, time.monotonic() + 0.05))
            else:
                time.sleep(0.05)
            process, status = os.waitpid(self.process, os.WNOHANG)
            if process:
                code = os.waitstatus_to_exitcode(status)
                self.code = code if code >= 0 else 128 - code
        while self.code is not None and self.open:  # what it said last
            before = self.unseen
            self.read(time.monotonic())
            if self.unseen == before:
                break
        return self.code is not None

    def end(self) -> None:
        """Makes it end. The terminal goes first: a script attends to a signal only behind what it waits for."""
        if self.open:
            self.close()
        self.ended(PARTING_SECONDS)
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.code is None:
                os.kill(self.process, number)
                self.ended(PARTING_SECONDS)


def do(screen: Screen, step: str) -> None:
    kind, _, text = step.partition("=")
    match kind:
        case "see":
            screen.see(text)
        case "type":
            screen.write(text.encode() + b"\n")
        case "key":
            screen.write(bytes([ord(text.upper()) - ord("@")]))
        case "close":
            screen.close()
        case "run":
            finished = subprocess.run(["bash", "-c", text], stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
            if finished.returncode != 0:
                raise Failed(f"exit code {finished.returncode}")
        case _:
            raise Failed("no such step")


def main() -> int:
    border = sys.argv.index("--")
    steps, command = sys.argv[1:border], sys.argv[border + 1 :]
    screen = Screen(command)
    try:
        for step in steps:
            try:
                do(screen, step)
            except Failed as failure:
                raise Failed(f"{step}: {failure}") from None
        if not screen.ended(END_SECONDS):
            raise Failed(f"it did not end within {END_SECONDS} s")
    except Failed as failure:
        screen.end()
        print(f"terminal.py: {failure}", file=sys.stderr)
        return FAILED
    finally:
        if screen.code is None:
            screen.end()
    return screen.code


sys.exit(main())
