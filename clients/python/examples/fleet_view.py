"""How a fleet goes: each event for a program, or a line each second for a person."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from typing import Any, Dict

#: What a process reports.
Event = Dict[str, Any]

#: The table's head comes again after this many rows.
HEAD_EVERY = 20


class View:
    """Takes events, and makes nothing of them."""

    def take(self, event: Event) -> None:
        """Something happened."""

    def second(self, driving: int) -> None:
        """One more second has passed."""

    def summary(self, seconds: float) -> None:
        """It is over."""


class JsonLines(View):
    """Each event on a line of its own."""

    def __init__(self) -> None:
        # What a library prints must not come between the lines.
        self._out = os.fdopen(os.dup(sys.stdout.fileno()), "w")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def take(self, event: Event) -> None:
        self._out.write(json.dumps(event) + "\n")
        self._out.flush()


class Table(View):
    """A row each second, then a summary."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._rows = 0
        self._all, self._recent = Figures(), Figures()

    def take(self, event: Event) -> None:
        self._all.take(event)
        self._recent.take(event)

    def second(self, driving: int) -> None:
        if self._rows % HEAD_EVERY == 0:
            print("  time    driving  requests/s    p50 µs    p99 µs  batch rows  errors")
        self._rows += 1
        recent, self._recent = self._recent, Figures()
        print(
            f"{self._rows:>4} s {f'{driving}/{self._processes}':>10}  {recent.requests:>10}"
            f"  {recent.round_trip(0.5):>8}  {recent.round_trip(0.99):>8}"
            f"  {recent.batch_rows:>10}  {sum(recent.errors.values()):>6}",
            flush=True,
        )

    def summary(self, seconds: float) -> None:
        figures = self._all
        errors = ", ".join(f"{code} {count}" for code, count in sorted(figures.errors.items()))
        p50, p95, p99, most = (figures.round_trip(share) for share in (0.5, 0.95, 0.99, 1.0))
        print(f"processes    {self._processes} for {seconds:.1f} s")
        print(f"requests     {figures.requests}, errors: {errors or 'none'}")
        print(f"round trip   p50 {p50} µs, p95 {p95} µs, p99 {p99} µs, max {most} µs")
        print(f"mean batch   {figures.batch_rows} rows")
        print(f"episodes     {figures.told_episodes}", flush=True)


class Figures:
    """Counts of events."""

    def __init__(self) -> None:
        self.errors: Counter[str] = Counter()
        self._trips: Counter[int] = Counter()
        self._replies = self._episodes = self._crashed = 0
        self._batches = self._returned = 0.0

    def take(self, event: Event) -> None:
        if event["event"] == "reply":
            self._replies += 1
            # Three digits are enough, and keep the memory bounded.
            self._trips[int(float(f"{event['round_trip_us']:.2e}"))] += 1
            # A reply from a batch of eight is an eighth of a batch.
            self._batches += 1.0 / max(1, event["batch_rows"])
        elif event["event"] == "error":
            self.errors[event["code"]] += 1
        elif event["event"] == "episode":
            self._episodes += 1
            self._crashed += event["crashed"]
            self._returned += event["return"]

    @property
    def requests(self) -> int:
        return self._replies + sum(self.errors.values())

    def round_trip(self, share: float) -> int:
        """Within which this share of the replies came, µs."""
        left = share * self._replies
        for micros, count in sorted(self._trips.items()):
            left -= count
            if left <= 0:
                return micros
        return 0

    @property
    def batch_rows(self) -> str:
        return f"{self._replies / self._batches:.1f}" if self._replies else "-"

    @property
    def told_episodes(self) -> str:
        if not self._episodes:
            return "none has ended"
        mean = self._returned / self._episodes
        return f"{self._episodes}, mean return {mean:.2f}, {self._crashed} crashed"
