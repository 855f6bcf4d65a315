"""Processes that drive highway-env, each with an environment of its own, with what a pool answers.

    python highway_fleet.py --url nats://127.0.0.1:4222 --processes 8 --duration 20

A line each second, then a summary. With --json-lines each event is a JSON object on a line of its
own instead, until SIGTERM; `carla-rl demo --gym` reads these:

    {"event": "started", "process": 0}
    {"event": "reply", "process": 0, "round_trip_us": 812, "batch_rows": 3, "late": false}
    {"event": "error", "process": 0, "code": "overloaded"}
    {"event": "episode", "process": 0, "return": 20.9, "length": 30, "crashed": false}

Exit codes: 0 at its time or when told to stop, 1 if a process fails, 78 if a package is missing.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter

ENVIRONMENT = "highway-fast-v0"
# What the policy was trained with: five vehicles, its own first, each with these.
OBSERVATION = {
    "type": "Kinematics",
    "vehicles_count": 5,
    "features": ["presence", "x", "y", "vx", "vy"],
    "absolute": False,
    "normalize": True,
}
# Packages by the module that shows whether they are there.
PACKAGES = {
    "gymnasium": "gymnasium",
    "highway_env": "highway-env",
    "carla_rl_client": "carla-rl-client",
}
MISSING = 78
# How long a pool is waited for, and the pause before a request that was not answered is repeated, s.
POOL_LIMIT = 30.0
PAUSE = 0.1
# How long processes may take to end when they are told to, s.
END_LIMIT = 5.0
# The table's head comes again after this many rows.
HEAD_EVERY = 20


class Stop:
    """Whether a signal has asked this process to end."""

    def __init__(self):
        self.asked = False

    def listen(self, *signals):
        for number in signals:
            signal.signal(number, self._hear)

    def _hear(self, number, frame):
        self.asked = True
        # A second one ends the process at once.
        signal.signal(number, signal.SIG_DFL)


# Global, since a process that is forked must not miss a signal that came in between.
STOP = Stop()


class Pace:
    """Steps at most so many times a second; without a rate as fast as it can."""

    def __init__(self, hz):
        self.period = 1.0 / hz if hz else 0.0
        self.due = time.monotonic()

    def wait(self):
        self.due = max(self.due + self.period, time.monotonic())
        time.sleep(max(0.0, self.due - time.monotonic()))

    def is_late(self):
        """Whether the next step is due already."""
        return self.period > 0.0 and time.monotonic() > self.due + self.period


class Driver:
    """One process: one environment, one connection."""

    def __init__(self, number, arguments, reports):
        self.number = number
        self.arguments = arguments
        self.reports = reports

    def run(self):
        from carla_rl_client import PolicyClient

        environment = make_environment()
        arguments = self.arguments
        with PolicyClient(
            arguments.url,
            arguments.model,
            prefix=arguments.prefix,
            env_id="highway-{}-{}".format(os.getpid(), self.number),
            wait_for_workers=POOL_LIMIT,
        ) as client:
            client.check_env(environment)
            self.report(event="started")
            self.drive(environment, client)

    def drive(self, environment, client):
        pace = Pace(self.arguments.hz)
        seed = self.arguments.seed + self.number
        while not STOP.asked:
            self.episode(environment, client, pace, seed)
            # From then on the environment goes on with its own randomness.
            seed = None

    def episode(self, environment, client, pace, seed):
        observation, _ = environment.reset(seed=seed)
        total, length, over = 0.0, 0, False
        while not over:
            pace.wait()
            if STOP.asked:
                return
            action = self.ask(client, observation, pace)
            if action is None:
                continue
            observation, reward, terminated, truncated, info = environment.step(action)
            total, length = total + float(reward), length + 1
            over = terminated or truncated
        crashed = bool(info["crashed"])
        self.report(event="episode", **{"return": total}, length=length, crashed=crashed)

    def ask(self, client, observation, pace):
        """The action, or None if there is none now: the environment waits."""
        from carla_rl_client import NotAnswered

        try:
            answer = client.infer(observation, deterministic=True)
        except NotAnswered as error:
            self.report(event="error", code=error.code)
            time.sleep(PAUSE)
            return None
        self.report(
            event="reply",
            round_trip_us=int(answer.round_trip_us),
            batch_rows=answer.batch_rows,
            late=pace.is_late(),
        )
        return int(answer.action)

    def report(self, **event):
        self.reports.send(dict(event, process=self.number))


def make_environment():
    import gymnasium
    import highway_env  # noqa: F401 - its import makes the environments known

    return gymnasium.make(ENVIRONMENT, config={"observation": OBSERVATION})


def drive(number, arguments, reader, reports):
    """What each process runs."""
    STOP.listen(signal.SIGTERM)
    # Else nobody would notice that the first process is gone.
    reader.close()
    driver = Driver(number, arguments, reports)
    try:
        driver.run()
    except BrokenPipeError:
        sys.exit(1)
    except Exception as error:
        driver.report(event="failed", why="{}: {}".format(type(error).__name__, error))
        sys.exit(1)


class Fleet:
    """The processes, and the pipe on which they report."""

    def __init__(self, arguments):
        # Where forking is safe it spares each process the imports.
        context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
        self.reader, writer = context.Pipe(duplex=False)
        self.driving = 0
        self.failure = None
        # Ctrl-C in a terminal goes to all processes; these leave it to the first one.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        given = (arguments, self.reader, writer)
        self.processes = [
            context.Process(target=drive, args=(number,) + given, daemon=True)
            for number in range(arguments.processes)
        ]
        for process in self.processes:
            process.start()
        writer.close()
        STOP.listen(signal.SIGINT)

    def is_well(self):
        return self.failure is None and not STOP.asked

    def hear(self, view, deadline):
        """Hands on what is reported until the deadline, or until something ends it."""
        while self.is_well() and time.monotonic() < deadline:
            ended = not self.wait(view, min(PAUSE, deadline - time.monotonic()))
            if ended and self.is_well():
                self.failure = "all processes have ended"
        for number, process in enumerate(self.processes):
            if process.exitcode is not None and self.is_well():
                self.failure = "process {} ended with {}".format(number, process.exitcode)

    def end(self, view):
        """Tells all to end, and hears what they still have to say."""
        for process in self.processes:
            process.terminate()
        deadline = time.monotonic() + END_LIMIT
        while time.monotonic() < deadline and self.wait(view, PAUSE):
            pass
        for process in self.processes:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.exitcode is None:
                process.kill()
                process.join()

    def wait(self, view, seconds):
        """Hands on one event, if one comes in time. False when all processes have ended."""
        try:
            if self.reader.poll(max(0.0, seconds)):
                self.take(self.reader.recv(), view)
        except EOFError:
            return False
        return True

    def take(self, event, view):
        if event["event"] == "failed":
            self.failure = self.failure or event["why"]
            return
        self.driving += event["event"] == "started"
        view.take(event)


class JsonLines:
    """Each event for a program."""

    def __init__(self):
        # What a library prints must not come between the lines.
        self.out = os.fdopen(os.dup(sys.stdout.fileno()), "w")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def take(self, event):
        self.out.write(json.dumps(event) + "\n")
        self.out.flush()

    def second(self, driving):
        pass

    def summary(self, seconds):
        pass


class Table:
    """A line each second for a person."""

    def __init__(self, processes):
        self.processes = processes
        self.rows = 0
        self.all, self.recent = Figures(), Figures()

    def take(self, event):
        self.all.take(event)
        self.recent.take(event)

    def second(self, driving):
        if self.rows % HEAD_EVERY == 0:
            print("  time    driving  requests/s    p50 µs    p99 µs  batch rows  errors")
        self.rows += 1
        row = "{:>4} s {:>10}  {:>10}  {:>8}  {:>8}  {:>10}  {:>6}".format(
            self.rows,
            "{}/{}".format(driving, self.processes),
            self.recent.requests(),
            self.recent.round_trip(0.5),
            self.recent.round_trip(0.99),
            self.recent.batch_rows(),
            sum(self.recent.errors.values()),
        )
        print(row, flush=True)
        self.recent = Figures()

    def summary(self, seconds):
        figures = self.all
        errors = ", ".join("{} {}".format(*pair) for pair in sorted(figures.errors.items()))
        print("processes    {} for {:.1f} s".format(self.processes, seconds))
        print("requests     {}, errors: {}".format(figures.requests(), errors or "none"))
        trips = (figures.round_trip(share) for share in (0.5, 0.95, 0.99, 1.0))
        print("round trip   p50 {} µs, p95 {} µs, p99 {} µs, max {} µs".format(*trips))
        print("mean batch   {} rows".format(figures.batch_rows()))
        mean = figures.returned / figures.episodes if figures.episodes else 0.0
        done = "{}, mean return {:.2f}, {} crashed".format(figures.episodes, mean, figures.crashed)
        print("episodes     {}".format(done if figures.episodes else "none has ended"), flush=True)


class Figures:
    """Counts of events."""

    def __init__(self):
        self.trips = Counter()
        self.errors = Counter()
        self.replies = self.batches = self.episodes = self.crashed = self.returned = 0

    def take(self, event):
        kind = event["event"]
        if kind == "reply":
            self.replies += 1
            # Three digits are enough, and keep the memory bounded.
            self.trips[int(float("{:.2e}".format(event["round_trip_us"])))] += 1
            # A reply from a batch of eight is an eighth of a batch.
            self.batches += 1.0 / max(1, event["batch_rows"])
        elif kind == "error":
            self.errors[event["code"]] += 1
        elif kind == "episode":
            self.episodes += 1
            self.crashed += event["crashed"]
            self.returned += event["return"]

    def requests(self):
        return self.replies + sum(self.errors.values())

    def round_trip(self, share):
        """The time within which this share of the replies came, µs."""
        left = share * self.replies
        for micros, count in sorted(self.trips.items()):
            left -= count
            if left <= 0:
                return micros
        return 0

    def batch_rows(self):
        return "{:.1f}".format(self.replies / self.batches) if self.replies else "-"


def missing_packages():
    found = []
    for module, package in PACKAGES.items():
        try:
            importlib.import_module(module)
        except ModuleNotFoundError:
            found.append(package)
    return found


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="nats://127.0.0.1:4222", help="broker")
    parser.add_argument("--model", default="highway-ppo", help="model that the pool serves")
    parser.add_argument("--prefix", default="policy", help="subject prefix of the pool")
    parser.add_argument("--processes", type=int, default=8, metavar="N")
    parser.add_argument(
        "--hz",
        type=float,
        metavar="F",
        help="steps of each process a second, at most; without it as fast as it can",
    )
    parser.add_argument(
        "--duration",
        type=float,
        metavar="S",
        help="seconds to drive; without it until Ctrl-C",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the first process's environment")
    parser.add_argument("--json-lines", action="store_true", help="each event, for a program")
    arguments = parser.parse_args()
    if arguments.processes < 1:
        parser.error("--processes: expected 1 or more")
    for name in ("hz", "duration"):
        value = getattr(arguments, name)
        if value is not None and not value > 0:
            parser.error("--{}: expected more than 0".format(name))
    return arguments


def run(arguments, view):
    """Drives until it is time or somebody asks to stop; what went wrong, or None."""
    fleet = Fleet(arguments)
    while fleet.is_well() and not fleet.driving:
        fleet.hear(view, time.monotonic() + PAUSE)
    began = second = time.monotonic()
    end = began + (arguments.duration or float("inf"))
    while fleet.is_well() and second < end:
        second += 1.0
        fleet.hear(view, min(second, end))
        if fleet.is_well() and second <= end:
            view.second(fleet.driving)
    seconds = time.monotonic() - began
    fleet.end(view)
    view.summary(seconds)
    return fleet.failure


def main():
    STOP.listen(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    arguments = read_arguments()
    view = JsonLines() if arguments.json_lines else Table(arguments.processes)
    # It would greet on standard output.
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    missing = missing_packages()
    if missing:
        say = '{} lacks {}: "make demo-gym" makes a Python that has all it needs'
        complain(say.format(sys.executable, ", ".join(missing)))
        return MISSING
    try:
        failure = run(arguments, view)
    except BrokenPipeError:
        # Whoever read this is gone; nor can Python's last flush succeed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    if failure:
        complain(failure)
        return 1
    return 0


def complain(text):
    print("{}: {}".format(os.path.basename(__file__), text), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
