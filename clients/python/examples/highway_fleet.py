"""Processes that drive highway-env, each in an environment of its own, with what a pool answers.

    python highway_fleet.py --url nats://127.0.0.1:4222 --processes 8 --duration 20

A line each second, then a summary. With ``--json-lines`` each event is an object of JSON on a line
of its own instead, until SIGTERM; ``carla-rl demo --gym`` reads these:

    {"event": "started", "process": 0}
    {"event": "reply", "process": 0, "round_trip_us": 812, "batch_rows": 3, "late": false}
    {"event": "error", "process": 0, "code": "overloaded"}
    {"event": "episode", "process": 0, "return": 20.9, "length": 30, "crashed": false}

Exit codes: 0 at its time or when told to stop, 1 if a process fails, 78 if a package is missing.
"""

from __future__ import annotations

import argparse
import importlib
import math
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Optional

from fleet_view import Event, JsonLines, Table, View
from highway_driver import STOP, run_driver

#: Packages by the module that shows whether they are there.
PACKAGES = {
    "gymnasium": "gymnasium",
    "highway_env": "highway-env",
    "carla_rl_client": "carla-rl-client",
}
#: Exit code of a program that can't run here (sysexits.h).
MISSING = 78
#: How long an event is waited for before we look at the processes, s.
LOOK = 0.1
#: How long the processes may take to end when they are told to, s.
END_LIMIT = 5.0


class Fleet:
    """The processes, and the pipe on which they report."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        # Where forking is safe it spares each process the imports.
        context: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
        self.reader, writer = context.Pipe(duplex=False)
        self.driving = 0
        self.failure: Optional[str] = None
        # Ctrl-C in a terminal goes to all processes; these leave it to the first one.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.processes = [
            context.Process(
                target=run_driver, args=(number, arguments, self.reader, writer), daemon=True
            )
            for number in range(arguments.processes)
        ]
        for process in self.processes:
            process.start()
        writer.close()
        STOP.listen(signal.SIGINT)

    def is_well(self) -> bool:
        """Whether it should go on."""
        return self.failure is None and not STOP.asked

    def hear(self, view: View, deadline: float) -> None:
        """Hands on what is reported until the deadline, or until something ends it."""
        while self.is_well() and time.monotonic() < deadline:
            ended = not self._wait(view, min(LOOK, deadline - time.monotonic()))
            if ended and self.is_well():
                self.failure = "all processes have ended"
        for number, process in enumerate(self.processes):
            if process.exitcode is not None and self.is_well():
                self.failure = f"process {number} has ended, with {process.exitcode}"

    def end(self, view: View) -> None:
        """Tells all to end, and hears what they still have to say."""
        for process in self.processes:
            process.terminate()
        deadline = time.monotonic() + END_LIMIT
        while time.monotonic() < deadline and self._wait(view, LOOK):
            pass
        for process in self.processes:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.exitcode is None:
                process.kill()
                process.join()

    def _wait(self, view: View, seconds: float) -> bool:
        """Hands on one event, if one comes in time. False when all processes have ended."""
        try:
            if self.reader.poll(max(0.0, seconds)):
                self._take(self.reader.recv(), view)
        except EOFError:
            return False
        return True

    def _take(self, event: Event, view: View) -> None:
        if event["event"] == "failed":
            self.failure = self.failure or event["why"]
            return
        self.driving += event["event"] == "started"
        view.take(event)


def run(arguments: argparse.Namespace, view: View) -> Optional[str]:
    """Drives until it is time, or somebody asks to stop. Returns what went wrong, if anything."""
    fleet = Fleet(arguments)
    while fleet.is_well() and not fleet.driving:
        fleet.hear(view, time.monotonic() + LOOK)
    began = second = time.monotonic()
    end = began + (arguments.duration or math.inf)
    while fleet.is_well() and second < end:
        second += 1.0
        fleet.hear(view, min(second, end))
        if fleet.is_well() and second <= end:
            view.second(fleet.driving)
    seconds = time.monotonic() - began if fleet.driving else 0.0
    fleet.end(view)
    if fleet.failure is None:
        view.summary(seconds)
    return fleet.failure


def missing_packages() -> list[str]:
    missing = []
    for module, package in PACKAGES.items():
        try:
            importlib.import_module(module)
        except ModuleNotFoundError:
            missing.append(package)
    return missing


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--url", default="nats://127.0.0.1:4222", help="broker (%(default)s)")
    parser.add_argument("--model", default="highway-ppo", help="what the pool serves (%(default)s)")
    parser.add_argument("--prefix", default="policy", help="of the pool's subjects (%(default)s)")
    parser.add_argument("--processes", type=int, default=8, metavar="N", help="(%(default)s)")
    parser.add_argument(
        "--hz", type=float, metavar="F", help="most steps of each a second (as many as it can)"
    )
    parser.add_argument("--duration", type=float, metavar="S", help="seconds (until Ctrl-C)")
    parser.add_argument("--seed", type=int, default=0, help="of the first one's environment")
    parser.add_argument("--json-lines", action="store_true", help="each event, for a program")
    arguments = parser.parse_args()
    for name in ("processes", "hz", "duration"):
        value = getattr(arguments, name)
        if value is not None and not value > 0:
            parser.error(f"--{name}: expected more than 0, got {value}")
    return arguments


def main() -> int:
    STOP.listen(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    arguments = read_arguments()
    view = JsonLines() if arguments.json_lines else Table(arguments.processes)
    # It would greet on standard output.
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    missing = missing_packages()
    if missing:
        complain(
            f"{sys.executable} lacks {', '.join(missing)}: "
            "`make demo-gym` makes a Python that has all it needs"
        )
        return MISSING
    try:
        failure = run(arguments, view)
    except BrokenPipeError:
        # Whoever read this is gone; nor could Python's last flush succeed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    if failure is not None:
        complain(failure)
        return 1
    return 0


def complain(what: str) -> None:
    print(f"{Path(__file__).name}: {what}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
