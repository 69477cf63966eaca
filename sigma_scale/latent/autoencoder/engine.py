"""The only door to PyTorch: what is missing is said here, and the device is chosen here."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sigma_scale import config
from sigma_scale.errors import EngineUnavailableError, ParameterError

try:
    import safetensors
    import torch
except ImportError as error:
    raise EngineUnavailableError(
        f"Autoencoders need PyTorch and safetensors ({error}). Install them with "
        'pip install "sigma-scale[autoencoder]".'
    ) from error

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["choose_device", "safetensors", "seeded", "torch"]

_LOGGER = logging.getLogger(__name__)

_DEVICES = ("auto", "cpu", "cuda")


def choose_device(device: str = "auto", *, mixed_precision: bool = False) -> torch.device:
    """
    Choose where a network runs.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}, default: "auto"
        ``"auto"`` follows the option ``engine``; where that is ``"auto"`` too, it takes the GPU
        if there is a usable one. What it chose is logged.
    mixed_precision : bool, default: False
        Whether bfloat16 is going to be used.

    Returns
    -------
    torch.device

    Raises
    ------
    ParameterError
        If there is no such device.
    EngineUnavailableError
        If CUDA was asked for and can't be used, or has no bfloat16 and that was asked for.
    """
    if device not in _DEVICES:
        raise ParameterError(f"device must be one of {', '.join(_DEVICES)}, got {device!r}.")
    asked = device
    if device == "auto":
        asked = {"cpu": "cpu", "gpu": "cuda"}.get(config.get("engine"), "auto")
    usable = torch.cuda.is_available()
    if asked == "cuda" and not usable:
        raise EngineUnavailableError(
            "CUDA was asked for, but PyTorch finds no usable GPU here. Install a build of "
            "PyTorch for your GPU (https://pytorch.org/get-started), or use device='cpu'."
        )
    chosen = "cuda" if asked == "cuda" or (asked == "auto" and usable) else "cpu"
    if chosen == "cuda" and mixed_precision and not torch.cuda.is_bf16_supported():
        raise EngineUnavailableError(
            "mixed_precision=True needs a GPU with bfloat16 (compute capability 8.0 or later); "
            "use mixed_precision=False."
        )
    if device == "auto":
        _LOGGER.info("The autoencoder runs on %s", chosen)
    return torch.device(chosen)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """
    Let PyTorch's generators start from a seed for a while; afterwards they are where they were.

    Parameters
    ----------
    seed : int
        For the generator of the CPU, and of the GPU where that is the device.
    device : torch.device
        Where the work runs.

    Yields
    ------
    None
    """
    on_gpu = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_gpu else []):
        torch.default_generator.manual_seed(seed)
        if on_gpu:
            torch.cuda.manual_seed(seed)
        yield
