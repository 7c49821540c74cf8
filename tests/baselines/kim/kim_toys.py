"""A tiny Kim, and its published file layouts, for the tests."""

import dataclasses

import torch

from baselines.ddpm import ddpm_tables
from baselines.kim.config import DiffusionConfig, FirstStageConfig, KimConfig, KimSampling, UNetConfig
from baselines.kim.files import AVERAGE, UNET
from baselines.kim.network import KimNetwork

CONFIG = KimConfig(
    first_stage=FirstStageConfig(channels=32, multipliers=(1, 1), blocks=1, latent=2, hidden=(8, 8)),
    unet=UNetConfig(channels=32, multipliers=(1, 2), blocks=1, attention=(2,)),
    diffusion=DiffusionConfig(0.001, 0.02),
    sampling=KimSampling(steps=4),
    lr_side=4,
    hr_side=16,
    sizes=(4, 16),
)
"""Two latent cells a pixel; groups and heads as published, so that shapes tell the rest."""


def network(config: KimConfig = CONFIG, seed: int = 0) -> KimNetwork:
    torch.manual_seed(seed)
    made = KimNetwork(config).requires_grad_(False).eval()
    made.scale_factor.fill_(0.8)
    return made


def schedule(config: DiffusionConfig = CONFIG.diffusion) -> dict[str, torch.Tensor]:
    """The twelve tables under their names."""
    return ddpm_tables(config.betas())


def averages(made: KimNetwork) -> dict[str, torch.Tensor]:
    """The averaged weights as published: no dots in their names; here half of the raw ones."""
    raw = {key: value for key, value in made.state_dict().items() if key.startswith(UNET)}
    halves = {AVERAGE + key.removeprefix("model.").replace(".", ""): value / 2 for key, value in raw.items()}
    counters = {"decay": torch.tensor(0.9999), "num_updates": torch.tensor(7, dtype=torch.int32)}
    return halves | {AVERAGE + key: value for key, value in counters.items()}


def published_state(made: KimNetwork) -> dict[str, torch.Tensor]:
    """State of the diffusion model in the published order."""
    state = made.state_dict()
    first = {key: state.pop(key) for key in list(state) if key.startswith("first_stage_model.")}
    return schedule(made.config.diffusion) | state | averages(made) | first


def lightning(state: dict[str, torch.Tensor]) -> dict:
    """A Lightning checkpoint around a state, with an optimizer's."""
    moments = {"state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-6, "params": [0]}]}
    return {
        "epoch": 7,
        "global_step": 123,
        "pytorch-lightning_version": "1.6.5",
        "state_dict": state,
        "callbacks": {},
        "optimizer_states": [moments],
        "lr_schedulers": [],
    }


def with_sampling(**changes) -> KimConfig:
    return dataclasses.replace(CONFIG, sampling=dataclasses.replace(CONFIG.sampling, **changes))
