"""Writes an artifact for carla-rl from a PyTorch actor-critic of fully connected layers.

    python docs/examples/export_policy.py ppo.zip artifacts/pendulum/0.1.0

exports a policy of Stable-Baselines3 (PPO or A2C with MlpPolicy). Other programs, CleanRL's agents
among them, call `write` themselves: see `from_cleanrl`. Needs torch, numpy, safetensors, pyyaml;
the command above also stable-baselines3.

Loading a .zip or .pkl of Stable-Baselines3 unpickles it, which runs code: only do that with files
that you trust. The artifact holds nothing that runs.
"""

import argparse
import hashlib
import pathlib

import numpy as np
import torch
import yaml
from safetensors.numpy import save_file
from torch import nn

ACTIVATIONS = {
    nn.Tanh: "tanh",
    nn.ReLU: "relu",
    nn.ELU: "elu",
    nn.LeakyReLU: "leaky_relu",
    nn.GELU: "gelu",
    nn.SiLU: "silu",
    nn.Sigmoid: "sigmoid",
}


def write(folder, *, algorithm, description, observation_space, action_space, actor, critic,
          log_std, observations, head, value, normalize=None):
    """Writes `<name>/<version>/`, the last two parts of `folder`.

    actor, critic: modules whose linear layers, in order, are the two branches; critic may be None.
    log_std: (action elements), or None for a discrete space.
    observations: (rows, elements), as the environment gives them, not normalised.
    head, value: what the policy says to them: means or probabilities (rows, outputs), and (rows).
    normalize: None, or (mean, var, epsilon, clip).
    """
    folder = pathlib.Path(folder)
    tensors, golden = {}, {"observations": observations, "head": head}
    policy = {
        "observation_space": space(observation_space),
        "action_space": space(action_space),
        "network": {"activation": activation(actor), "policy": branch(tensors, "policy", "action", actor)},
    }
    if critic is not None:
        policy["network"]["value"] = branch(tensors, "value", "value", critic)
        golden["value"] = value
    if log_std is None:
        policy["head"] = {"type": "categorical"}
    else:
        policy["head"] = {"type": "diagonal_gaussian"}
        policy["postprocess"] = "clip"
        tensors["log_std"] = log_std
    if normalize is not None:
        mean, var, epsilon, clip = normalize
        tensors["observation.mean"], tensors["observation.var"] = mean.ravel(), var.ravel()
        policy["normalize"] = {"epsilon": float(epsilon), "clip": float(clip)}
    folder.mkdir(parents=True)
    for name, content in [("model.safetensors", tensors), ("golden.safetensors", golden)]:
        save_file({key: np.ascontiguousarray(array(of)) for key, of in content.items()}, folder / name)
    card = {
        "schema": 1,
        "name": folder.parent.name,
        "version": folder.name.removeprefix("v"),
        "description": description,
        "algorithm": algorithm,
        "policy": policy,
        "provenance": {"program": "export_policy.py", "torch": str(torch.__version__)},
        "files": {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for name in ["model.safetensors", "golden.safetensors"]
        },
    }
    (folder / "model_card.yaml").write_text(yaml.safe_dump(card, sort_keys=False))


def branch(tensors, hidden, last, module):
    """Adds a branch's layers and returns the widths of the hidden ones."""
    linears = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    for i, layer in enumerate(linears):
        name = last if i == len(linears) - 1 else f"{hidden}.{i}"
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = layer.weight, layer.bias
    return [layer.out_features for layer in linears[:-1]]


def activation(module):
    """The one activation between the layers."""
    others = {type(layer) for layer in module.modules()} - {nn.Linear, nn.Sequential, nn.Flatten}
    if len(others) > 1 or not others <= ACTIVATIONS.keys():
        names = ", ".join(sorted(layer.__name__ for layer in others))
        raise SystemExit(f"expected one of {', '.join(ACTIVATIONS.values())} between layers, got {names}")
    return ACTIVATIONS[others.pop()] if others else "tanh"


def space(of):
    """A Gymnasium space as the card has it."""
    if type(of).__name__ == "Discrete":
        return {"type": "discrete", "n": int(of.n), "start": int(of.start)}
    if type(of).__name__ != "Box" or of.dtype.kind != "f":
        raise SystemExit(f"expected a box of floats or discrete actions, got {of}")
    bounds = {name: bound.ravel().tolist() for name, bound in [("low", of.low), ("high", of.high)]}
    return {"type": "box", "dtype": f"f{of.dtype.itemsize}", "shape": list(of.shape), **bounds}


def array(of):
    return of.detach().cpu().numpy() if isinstance(of, torch.Tensor) else np.asarray(of)


def samples(of, rows=256):
    """Observations to verify with. Real ones, from your environment, are better."""
    of.seed(0)
    return np.stack([of.sample() for _ in range(rows)])


@torch.no_grad()
def from_sb3(folder, model, normalizer=None, observations=None):
    """PPO or A2C of Stable-Baselines3 with MlpPolicy; `normalizer` is its VecNormalize."""
    policy = model.policy.to("cpu").eval()
    if getattr(model, "use_sde", False):
        raise SystemExit("gSDE is not covered: its standard deviation depends on the state")
    space(model.action_space)  # says what it can't take before anything else stumbles over it
    observations = samples(model.observation_space) if observations is None else observations
    seen = observations if normalizer is None else normalizer.normalize_obs(observations)
    seen = torch.as_tensor(seen, dtype=torch.float32)
    distribution = policy.get_distribution(seen).distribution
    is_gaussian = isinstance(distribution, torch.distributions.Normal)
    write(
        folder,
        algorithm=type(model).__name__,
        description=f"{type(model).__name__} of Stable-Baselines3, {model.num_timesteps} steps.",
        observation_space=model.observation_space if normalizer is None else normalizer.venv.observation_space,
        action_space=model.action_space,
        actor=nn.Sequential(policy.mlp_extractor.policy_net, policy.action_net),
        critic=nn.Sequential(policy.mlp_extractor.value_net, policy.value_net),
        log_std=policy.log_std if is_gaussian else None,
        observations=observations.reshape(len(observations), -1),
        head=distribution.mean if is_gaussian else distribution.probs,
        value=policy.predict_values(seen).ravel(),
        normalize=normalizer and (
            normalizer.obs_rms.mean, normalizer.obs_rms.var, normalizer.epsilon, normalizer.clip_obs),
    )


@torch.no_grad()
def from_cleanrl(folder, agent, observation_space, action_space, normalize=None, observations=None):
    """The Agent of CleanRL's ppo.py (discrete) or ppo_continuous_action.py (Gaussian).

    normalize: (mean, var, epsilon, clip) of its NormalizeObservation and TransformObservation.
    """
    observations = samples(observation_space) if observations is None else observations
    observations = observations.reshape(len(observations), -1)
    seen = observations
    if normalize is not None:
        mean, var, epsilon, clip = normalize
        seen = np.clip((observations - mean) / np.sqrt(var + epsilon), -clip, clip)
    seen = torch.as_tensor(seen, dtype=torch.float32)
    is_gaussian = hasattr(agent, "actor_mean")
    actor = agent.actor_mean if is_gaussian else agent.actor
    write(
        folder,
        algorithm="PPO",
        description="PPO of CleanRL.",
        observation_space=observation_space,
        action_space=action_space,
        actor=actor,
        critic=agent.critic,
        log_std=agent.actor_logstd.ravel() if is_gaussian else None,
        observations=observations,
        head=actor(seen) if is_gaussian else actor(seen).softmax(-1),
        value=agent.critic(seen).ravel(),
        normalize=normalize,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help=".zip of PPO or A2C")
    parser.add_argument("folder", help="artifacts/<name>/<version>, which must not be there yet")
    parser.add_argument("--algorithm", choices=["PPO", "A2C"], default="PPO")
    parser.add_argument("--normalizer", help=".pkl of VecNormalize")
    arguments = parser.parse_args()
    import stable_baselines3
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

    model = getattr(stable_baselines3, arguments.algorithm).load(arguments.model, device="cpu")
    normalizer = None
    if arguments.normalizer:
        # It wants an environment; spaces are all that it is asked for.
        import gymnasium

        class Spaces(gymnasium.Env):
            observation_space, action_space = model.observation_space, model.action_space

        normalizer = VecNormalize.load(arguments.normalizer, DummyVecEnv([Spaces]))
    from_sb3(arguments.folder, model, normalizer)


if __name__ == "__main__":
    main()
