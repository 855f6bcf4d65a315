"""Handlers of signals may raise, end the program, and call the client, at any moment."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any, Iterator

import numpy as np
import pytest
from conftest import PATIENCE, Broker, Serve, wait_for
from scripted import SILENCE, ScriptedWorker

from carla_rl_client import PolicyClient, Unreachable

ZEROS = np.zeros(2)


class Late(Exception):
    """Raised by a handler, as helpers do that give functions a time-out."""


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Those of a program in a terminal: one in the background has Ctrl-C ignored."""
    numbers = (signal.SIGINT, signal.SIGALRM, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in before.items():
        signal.signal(number, handler)


def send_during_a_call(scripted: ScriptedWorker, number: int) -> None:
    """Sends a signal to this process once a request has arrived that gets no answer."""
    scripted.script = [SILENCE]

    def send() -> None:
        wait_for(lambda: scripted.requests, "the request")
        os.kill(os.getpid(), number)

    threading.Thread(target=send).start()


def test_ctrl_c_ends_the_call_and_the_next_one_works(
    broker: Broker, scripted: ScriptedWorker
) -> None:
    with PolicyClient(broker.url, "scripted", timeout=PATIENCE) as client:
        send_during_a_call(scripted, signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            client.predict(ZEROS)
        assert client.predict(ZEROS)[0] == 0


def test_alarms_at_random_moments_harm_nothing(serve: Serve) -> None:
    client = serve("ppo_box")

    def late(*_: Any) -> None:
        raise Late

    signal.signal(signal.SIGALRM, late)
    for alarm in range(50):
        with pytest.raises(Late):
            # Again and again: Python itself drops what is raised while it clears an object away.
            signal.setitimer(signal.ITIMER_REAL, 0.001 + alarm * 0.0001, 1.0)
            while True:
                client.predict(np.zeros(6))
        signal.setitimer(signal.ITIMER_REAL, 0)
        client.predict(np.zeros(6))


def test_a_handler_may_call_the_client(broker: Broker, scripted: ScriptedWorker) -> None:
    asked = []
    with PolicyClient(broker.url, "scripted", timeout=2.0) as client:
        signal.signal(signal.SIGTERM, lambda *_: asked.append(int(client.predict(ZEROS)[0])))
        send_during_a_call(scripted, signal.SIGTERM)
        # Sent once more after a second of silence, and then answered.
        assert client.predict(ZEROS)[0] == 0
    assert asked == [0]


def test_a_handler_may_close_the_client(broker: Broker, scripted: ScriptedWorker) -> None:
    client = PolicyClient(broker.url, "scripted", timeout=PATIENCE)
    signal.signal(signal.SIGTERM, lambda *_: client.close())
    send_during_a_call(scripted, signal.SIGTERM)
    with pytest.raises(Unreachable, match="was closed"):
        client.predict(ZEROS)


def test_handlers_are_as_they_were_after_a_call(serve: Serve) -> None:
    def handler(*_: Any) -> None:
        """Never called."""

    signal.signal(signal.SIGTERM, handler)
    serve("ppo_box").predict(np.zeros(6))
    assert signal.getsignal(signal.SIGTERM) is handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
