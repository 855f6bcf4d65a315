"""A small policy and its value, in NumPy: forward, backward by hand, Adam, PPO's loss.

Weights are kept as PyTorch keeps them, (outputs, inputs), which is what a worker reads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Dict

import numpy as np

#: Arrays by name: ``policy.0.weight``, ``policy.0.bias``, …
Parameters = Dict[str, np.ndarray]


class Layers:
    """Fully connected layers, tanh behind each but the last."""

    def __init__(self, name: str, widths: list[int], last_gain: float, random: np.random.Generator):
        """``widths``: inputs, hidden layers, outputs."""
        self.names = [f"{name}.{i}" for i in range(len(widths) - 1)]
        self.parameters: Parameters = {}
        for i, layer in enumerate(self.names):
            gain = last_gain if layer == self.names[-1] else math.sqrt(2)
            self.parameters[f"{layer}.weight"] = gain * orthogonal(widths[i + 1], widths[i], random)
            self.parameters[f"{layer}.bias"] = np.zeros(widths[i + 1], np.float32)

    def forward(self, inputs: np.ndarray) -> list[np.ndarray]:
        """What goes into each layer, each (rows, …), and what comes out of the last."""
        passed = [inputs]
        for layer in self.names:
            weight, bias = self.parameters[f"{layer}.weight"], self.parameters[f"{layer}.bias"]
            output = passed[-1] @ weight.T + bias
            passed.append(output if layer == self.names[-1] else np.tanh(output))
        return passed

    def backward(self, passed: list[np.ndarray], gradient: np.ndarray) -> Parameters:
        """The loss's gradient by each parameter, from that by the output, (rows, outputs)."""
        gradients: Parameters = {}
        for i in reversed(range(len(self.names))):
            layer = self.names[i]
            gradients[f"{layer}.weight"] = gradient.T @ passed[i]
            gradients[f"{layer}.bias"] = gradient.sum(axis=0)
            if i > 0:
                # Through the weights, and the tanh before them, whose slope is 1 - tanh².
                gradient = gradient @ self.parameters[f"{layer}.weight"] * (1 - passed[i] ** 2)
        return gradients


def orthogonal(rows: int, columns: int, random: np.random.Generator) -> np.ndarray:
    """f4 (rows, columns) with orthonormal rows or columns."""
    tall, _ = np.linalg.qr(random.standard_normal((max(rows, columns), min(rows, columns))))
    return (tall if rows >= columns else tall.T).astype(np.float32)


class Adam:
    """Kingma and Ba 2015, with the gradient's norm clipped before."""

    def __init__(self, rate: float, max_norm: float) -> None:
        self._rate = rate
        self._max_norm = max_norm
        self._mean: Parameters = {}
        self._square: Parameters = {}
        self._steps = 0

    def step(self, parameters: Parameters, gradients: Parameters) -> None:
        """Changes ``parameters`` in place."""
        self._steps += 1
        norm = float(np.sqrt(sum(float(np.sum(g**2)) for g in gradients.values())))
        scale = min(1.0, self._max_norm / (norm + 1e-6))
        for name, gradient in gradients.items():
            g = gradient * scale
            self._mean[name] = 0.9 * self._mean.get(name, 0.0) + 0.1 * g
            self._square[name] = 0.999 * self._square.get(name, 0.0) + 0.001 * g**2
            mean = self._mean[name] / (1 - 0.9**self._steps)
            square = self._square[name] / (1 - 0.999**self._steps)
            parameters[name] -= (self._rate * mean / (np.sqrt(square) + 1e-5)).astype(np.float32)


@dataclass(frozen=True)
class Batch:
    """Steps to learn from, (rows,) each but the first."""

    #: f4 (rows, observation elements)
    observations: np.ndarray
    actions: np.ndarray
    #: Of the actions, when they were drawn.
    log_probs: np.ndarray
    advantages: np.ndarray
    #: What the value should have been: the discounted return.
    returns: np.ndarray

    def rows(self, chosen: np.ndarray) -> Batch:
        return Batch(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


class ActorCritic:
    """PPO (Schulman et al. 2017) for discrete actions."""

    def __init__(self, inputs: int, actions: int, hidden: list[int], seed: int) -> None:
        self.inputs = inputs
        self.actions = actions
        self._random = np.random.default_rng(seed)
        self.policy = Layers("policy", [inputs, *hidden, actions], 0.01, self._random)
        self.value = Layers("value", [inputs, *hidden, 1], 1.0, self._random)
        self._adam = Adam(rate=1e-3, max_norm=0.5)

    @property
    def parameters(self) -> Parameters:
        """Of both: the arrays themselves, not copies."""
        return {**self.policy.parameters, **self.value.parameters}

    def log_probs(self, observations: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """(rows,): of these actions, by the present weights."""
        logits = self.policy.forward(observations)[-1]
        return log_softmax(logits)[np.arange(len(actions)), actions]

    def learn(self, batch: Batch, epochs: int, minibatch: int) -> None:
        """Some passes over the batch, in random order."""
        rows = len(batch.actions)
        for _ in range(epochs):
            order = self._random.permutation(rows)
            for start in range(0, rows, minibatch):
                self._step(batch.rows(order[start : start + minibatch]))

    def _step(self, batch: Batch) -> None:
        policy_passed = self.policy.forward(batch.observations)
        value_passed = self.value.forward(batch.observations)
        by_logits = policy_gradient(policy_passed[-1], batch, clip=0.2)
        by_value = (value_passed[-1][:, 0] - batch.returns)[:, None] * 0.5 / len(batch.returns)
        gradients = {
            **self.policy.backward(policy_passed, by_logits),
            **self.value.backward(value_passed, by_value.astype(np.float32)),
        }
        self._adam.step(self.parameters, gradients)


def policy_gradient(logits: np.ndarray, batch: Batch, clip: float) -> np.ndarray:
    """Of PPO's clipped loss by the logits, (rows, actions)."""
    rows = np.arange(len(batch.actions))
    log_probs = log_softmax(logits)
    probs = np.exp(log_probs)
    advantages = batch.advantages - batch.advantages.mean()
    advantages /= batch.advantages.std() + 1e-8
    ratio = np.exp(log_probs[rows, batch.actions] - batch.log_probs)
    # Where the policy has moved far enough towards what was good (or away from what was bad),
    # the clipped loss is flat.
    flat = np.where(advantages > 0, ratio > 1 + clip, ratio < 1 - clip)
    by_log_prob = np.where(flat, 0.0, -advantages * ratio)
    # d log p(a) / d logits = onehot(a) - p
    gradient = -probs * by_log_prob[:, None]
    gradient[rows, batch.actions] += by_log_prob
    return (gradient / len(rows)).astype(np.float32)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def advantages(
    rewards: np.ndarray,
    values: np.ndarray,
    next_values: np.ndarray,
    ended: np.ndarray,
    *,
    discount: float,
    trace: float,
) -> np.ndarray:
    """Generalised advantage estimation (Schulman et al. 2016), f4 (steps, environments).

    So are the arguments' shapes. ``next_values``: of what followed each step, 0 where the episode
    failed; ``ended``: whether the row below is of another episode; ``trace``: lambda.
    """
    errors = rewards + discount * next_values - values
    gathered = np.zeros_like(errors)
    later = np.zeros_like(errors[0])
    for step in reversed(range(len(errors))):
        later = errors[step] + discount * trace * np.where(ended[step], 0.0, later)
        gathered[step] = later
    return gathered
