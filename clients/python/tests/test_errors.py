"""Each failure has a class of its own, and only what is safe is asked again."""

from __future__ import annotations

import pickle
import time
from typing import Any

import numpy as np
import pytest
from conftest import PATIENCE, Broker, Pool, Serve
from scripted import SILENCE, ScriptedWorker, action, error

import carla_rl_client as crc
from carla_rl_client import PolicyClient

ZEROS = np.zeros(2, np.float32)


def client_of(broker: Broker, **options: Any) -> PolicyClient:
    return PolicyClient(broker.url, "scripted", **{"timeout": PATIENCE, **options})


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("malformed", crc.Malformed),
        ("too_large", crc.TooLarge),
        ("invalid_shape", crc.InvalidShape),
        ("invalid_dtype", crc.InvalidDtype),
        ("invalid_value", crc.InvalidValue),
        ("unsupported", crc.Unsupported),
        ("expired", crc.Expired),
        ("superseded", crc.Superseded),
    ],
)
def test_an_error_that_would_come_again_is_raised_at_once(
    broker: Broker, scripted: ScriptedWorker, code: str, kind: type[crc.PolicyError]
) -> None:
    scripted.script = [error(code, field="obs", expected="this", got="that")]
    with client_of(broker) as client, pytest.raises(kind) as raised:
        client.predict(ZEROS)
    problem = raised.value
    assert (problem.code, problem.field, problem.expected, problem.got) == (
        code,
        "obs",
        "this",
        "that",
    )
    assert str(problem) == f"a scripted {code} (obs); expected this; got that"
    assert len(scripted.requests) == 1


@pytest.mark.parametrize("code", ["overloaded", "draining", "unknown_version"])
def test_another_worker_is_asked_after_what_only_one_said(
    broker: Broker, scripted: ScriptedWorker, code: str
) -> None:
    scripted.script = [error(code, retry_after_ms=1), error(code), action(3)]
    with client_of(broker, retries=2) as client:
        answer = client.infer(ZEROS)
    assert (int(answer.action), answer.attempts) == (3, 3)


def test_retries_are_bounded(broker: Broker, scripted: ScriptedWorker) -> None:
    scripted.script = [error("draining")] * 4
    with client_of(broker, retries=2) as client, pytest.raises(crc.Draining):
        client.predict(ZEROS)
    assert len(scripted.requests) == 3


def test_a_defect_is_asked_once_more_and_no_more(broker: Broker, scripted: ScriptedWorker) -> None:
    scripted.script = [error("internal"), action(2), error("internal"), error("internal")]
    with client_of(broker, retries=5) as client:
        assert client.predict(ZEROS)[0] == 2
        with pytest.raises(crc.Internal):
            client.predict(ZEROS)
    assert len(scripted.requests) == 4


def test_a_pause_that_the_timeout_has_no_room_for_is_not_made(
    broker: Broker, scripted: ScriptedWorker
) -> None:
    scripted.script = [error("overloaded", retry_after_ms=60_000)]
    with client_of(broker) as client, pytest.raises(crc.Overloaded) as raised:
        client.predict(ZEROS)
    assert raised.value.retry_after_ms == 60_000
    assert len(scripted.requests) == 1


def test_after_silence_the_request_is_sent_once_more(
    broker: Broker, scripted: ScriptedWorker
) -> None:
    scripted.script = [SILENCE, action(4)]
    with client_of(broker, timeout=2.0) as client:
        answer = client.infer(ZEROS)
    assert (int(answer.action), answer.attempts) == (4, 2)
    first, second = (float(headers["Deadline-Ms"]) for headers in scripted.headers)
    assert 0 < second < first <= 2000


def test_silence_to_the_end_is_a_timeout(broker: Broker, scripted: ScriptedWorker) -> None:
    scripted.script = [SILENCE] * 2
    with client_of(broker, timeout=0.2) as client:
        with pytest.raises(crc.Timeout, match="somebody listens"):
            client.predict(ZEROS)
        with pytest.raises(TimeoutError):
            scripted.script = [SILENCE] * 2
            client.predict(ZEROS)


def test_what_is_no_reply_is_said_to_be_none(broker: Broker, scripted: ScriptedWorker) -> None:
    scripted.script = [b"hello", b"\xc1", {"action": 3}, error("a_later_code")]
    with client_of(broker) as client:
        for _ in range(3):
            with pytest.raises(crc.UnreadableReply):
                client.predict(ZEROS)
        with pytest.raises(crc.PolicyError) as raised:
            client.predict(ZEROS)
    assert raised.value.code == "a_later_code"


def test_headers_carry_what_the_client_was_made_with(
    broker: Broker, scripted: ScriptedWorker
) -> None:
    with client_of(broker, env_id="town-3", priority=0, model_version="1.0.0") as client:
        client.predict(ZEROS)
    headers = scripted.headers[0]
    assert headers.pop("Deadline-Ms")
    assert headers == {"Env-Id": "town-3", "Priority": "0", "Model-Version": "1.0.0"}


def test_without_workers_it_says_so_at_once(broker: Broker) -> None:
    # Far from this time-out: the broker itself says it.
    began = time.monotonic()
    with pytest.raises(crc.NoWorkers, match=r"policy\.v1\.spec\.nobody"):
        PolicyClient(broker.url, "nobody", timeout=PATIENCE)
    assert time.monotonic() - began < PATIENCE


def test_workers_that_come_later_can_be_waited_for(pool: Pool) -> None:
    first = pool.start("ppo_asymmetric_bounds")
    client = pool.client("ppo_asymmetric_bounds", wait_for_workers=PATIENCE)
    impatient = pool.client("ppo_asymmetric_bounds", wait_for_workers=0.0)
    first.stop()
    zeros = client.observation_space.sample()
    with pytest.raises(crc.NoWorkers):
        impatient.predict(zeros)
    pool.start("ppo_asymmetric_bounds")
    client.predict(zeros)


def test_without_a_broker_it_says_where_it_looked(own_broker: Broker) -> None:
    own_broker.stop()
    with pytest.raises(crc.Unreachable, match=own_broker.url):
        PolicyClient(own_broker.url, "any", connect_timeout=0.2)


def test_a_broker_that_comes_back_is_found_again(own_broker: Broker) -> None:
    worker = ScriptedWorker(own_broker.url)
    # The worker may be back later than the client.
    client = client_of(own_broker, wait_for_workers=PATIENCE)
    own_broker.stop()
    own_broker.start()
    assert client.predict(ZEROS)[0] == 0
    client.close()
    worker.stop()


def test_a_call_waits_no_longer_for_a_lost_broker_than_its_timeout(own_broker: Broker) -> None:
    worker = ScriptedWorker(own_broker.url)
    client = client_of(own_broker, timeout=0.3)
    own_broker.stop()
    with pytest.raises(crc.NotAnswered):
        client.predict(ZEROS)
    client.close()
    worker.stop()


def test_nan_is_refused_by_the_worker_with_its_place(serve: Serve) -> None:
    observation = np.zeros((2, 6))
    observation[1, 3] = np.nan
    with pytest.raises(crc.InvalidValue, match=r"obs\[1\]\[3\]"):
        serve("ppo_box").predict(observation)


@pytest.mark.parametrize(
    ("model", "observation", "kind", "said"),
    [
        ("ppo_box", np.zeros(5), crc.InvalidShape, r"\[6\] for one observation, or \[n, 6\]"),
        ("ppo_box", np.zeros((0, 6)), crc.InvalidShape, r"got \[0, 6\]"),
        ("ppo_box", (np.zeros(6), {}), crc.InvalidShape, r"obs, info = env\.reset"),
        ("ppo_box", ["a"] * 6, crc.InvalidDtype, "no numbers"),
        ("ppo_obs_discrete", np.uint64(2**64 - 1), crc.InvalidValue, "too large"),
        ("ppo_box", {"a": 1}, crc.Malformed, "no dict"),
        ("ppo_dict", np.zeros(3), crc.Malformed, "takes a dict"),
        ("ppo_dict", {"gear": 0}, crc.Malformed, "other names"),
        ("ppo_cnn_hwc", np.zeros((3, 40, 41), np.uint8), crc.InvalidShape, r"\[3, 40, 40\]"),
    ],
)
def test_what_does_not_fit_the_space_is_refused_before_it_is_sent(
    serve: Serve, model: str, observation: Any, kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said) as raised:
        serve(model).predict(observation)
    assert isinstance(raised.value, ValueError)


def test_other_arguments_that_do_not_fit_are_refused(serve: Serve) -> None:
    box, recurrent = serve("ppo_box"), serve("recurrent_ppo")
    with pytest.raises(crc.Unsupported, match="no action masks"):
        box.infer(np.zeros(6), mask=[1])
    with pytest.raises(crc.Unsupported, match="q_values"):
        box.infer(np.zeros(6), want="q_values")
    with pytest.raises(crc.InvalidValue, match="seed"):
        box.infer(np.zeros(6), seed=-1)
    with pytest.raises(crc.InvalidShape, match="episode_start"):
        recurrent.predict(np.zeros((2, 4)), episode_start=[True])
    with pytest.raises(crc.Malformed, match="state"):
        recurrent.predict(np.zeros((2, 4)), state=(np.zeros(3), np.zeros(3)))
    _, state = recurrent.predict(np.zeros((2, 4)))
    with pytest.raises(crc.InvalidShape, match="state is of other rows"):
        recurrent.predict(np.zeros((3, 4)), state=state)
    with pytest.raises(crc.InvalidShape, match=r"mask.*expected \[2, 6\]"):
        serve("maskable_ppo").predict(np.zeros((2, 4)), action_masks=np.ones(6))


def test_options_that_make_no_sense_are_refused(broker: Broker) -> None:
    with pytest.raises(ValueError, match="on_timeout"):
        PolicyClient(broker.url, "any", on_timeout="wait")
    with pytest.raises(ValueError, match="timeout"):
        PolicyClient(broker.url, "any", timeout=0)
    with pytest.raises(ValueError, match="timeout"):
        PolicyClient(broker.url, "any", timeout=None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="priority"):
        PolicyClient(broker.url, "any", priority=10)
    with pytest.raises(ValueError, match="env_id"):
        PolicyClient(broker.url, "any", env_id="")
    with pytest.raises(ValueError, match="nats://host:4222"):
        PolicyClient("nats://127.0.0.1:14x", "any")
    with pytest.raises(ValueError, match="letters, digits"):
        PolicyClient(broker.url, "any model")
    with pytest.raises(ValueError, match="prefix"):
        PolicyClient(broker.url, "any", prefix="a..b")
    with pytest.raises(ValueError, match="nats://host:4222"):
        PolicyClient("http://127.0.0.1", "any")


def test_an_address_may_do_without_a_scheme_and_keeps_its_password_to_itself(
    broker: Broker, scripted: ScriptedWorker
) -> None:
    with PolicyClient(broker.url[len("nats://") :], "scripted", timeout=PATIENCE) as client:
        client.predict(ZEROS)
    with pytest.raises(crc.Unreachable) as raised:
        PolicyClient("nats://me:secret@127.0.0.1:1", "any", connect_timeout=0.1)
    assert "at nats://127.0.0.1:1:" in str(raised.value)


def test_errors_survive_a_pipe_between_processes() -> None:
    problem = crc.Overloaded("full", field="obs", retry_after_ms=7)
    copy = pickle.loads(pickle.dumps(problem))
    assert (type(copy), str(copy), copy.retry_after_ms) == (crc.Overloaded, str(problem), 7)
