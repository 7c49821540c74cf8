"""Adam, and its state as named tensors: nothing pickled, and every tensor says which weight it belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from casarbi.errors import CasarbiError

MOMENTS = ("exp_avg", "exp_avg_sq")
COUNT = "step"


def make_adam(network: nn.Module, learning_rate: float, weight_decay: float = 0.0) -> torch.optim.Adam:
    """Adam with its customary betas over the weights that are trained, in one kernel for all of them.

    A weight decay is AdamW's, apart from the gradient.
    """
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    kind = torch.optim.AdamW if weight_decay else torch.optim.Adam
    return kind(trained, lr=learning_rate, weight_decay=weight_decay, fused=_is_fusable(trained))


def _is_fusable(parameters: Iterable[Tensor]) -> bool:
    try:
        torch.optim.Adam([torch.zeros(1)], fused=True)
    except RuntimeError:  # torch below 2.4 has the kernel for GPUs only
        return all(parameter.is_cuda for parameter in parameters)
    return True


def set_learning_rate(optimizer: torch.optim.Adam, rate: float) -> None:
    """Set the rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def optimizer_tensors(optimizer: torch.optim.Adam, network: nn.Module) -> dict[str, Tensor]:
    """State by name, such as "exp_avg.head.0.weight" and "step.head.0.weight"; empty before the first step."""
    state = {}
    for name, parameter in network.named_parameters():
        for part in (*MOMENTS, COUNT) if parameter in optimizer.state else ():
            state[f"{part}.{name}"] = optimizer.state[parameter][part]
    return state


def restore_optimizer(optimizer: torch.optim.Adam, network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` gave; each moment takes the memory order of its weight.

    Raises:
        CasarbiError: if the state of a trained weight is missing or has another shape.
    """
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad or not tensors:
            continue
        parts = {part: tensors.get(f"{part}.{name}") for part in (*MOMENTS, COUNT)}
        for part, tensor in parts.items():
            expected = torch.Size([]) if part == COUNT else parameter.shape
            if tensor is None or tensor.shape != expected:
                raise CasarbiError(f"the optimizer state {part} of the weight {name} is missing or has another shape")
        # The fused kernel needs its step count on the weight's device, the other ones on the CPU.
        moments = {part: torch.empty_like(parameter).copy_(parts[part]) for part in MOMENTS}  # type: ignore[arg-type]
        on_device = bool(optimizer.defaults["fused"])
        count = parts[COUNT].to(parameter.device if on_device else "cpu", copy=True)  # type: ignore[union-attr]
        optimizer.state[parameter] = {COUNT: count, **moments}


def step_count(tensors: Mapping[str, Tensor]) -> int:
    """Steps that Adam has made by its own count; 0 before the first."""
    return max((int(tensor) for name, tensor in tensors.items() if name.startswith(f"{COUNT}.")), default=0)
