"""Seeds: the tutorial's global ones, and those derived for each part of a training."""

from __future__ import annotations

import random
from importlib.util import find_spec

import numpy as np

from sigma_scale.errors import ParameterError

__all__ = ["checked_seed", "derived_seed", "same_seeds"]

_SEEDS = 2**32


def same_seeds(seed: int) -> None:
    """
    Seed the global random generators of Python, NumPy and, where it is installed, PyTorch.

    An :class:`~sigma_scale.workflow.Experiment` made after it, without ``random_state``, comes
    out the same each time.

    Parameters
    ----------
    seed : int
        From 0 to 2**32 - 1.

    Raises
    ------
    ParameterError
        If the seed is another value.
    """
    seed = checked_seed(seed, name="seed")
    random.seed(seed)
    # The legacy generator is the one that other libraries draw from when they get no seed.
    np.random.seed(seed)  # noqa: NPY002
    if find_spec("torch") is not None:
        import torch

        torch.manual_seed(seed)  # all devices


def checked_seed(seed: object, *, name: str) -> int:
    """
    Return a seed as a plain integer.

    Raises
    ------
    ParameterError
        If it is not an integer from 0 to 2**32 - 1.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < _SEEDS:
        raise ParameterError(f"{name} must be an integer from 0 to 2**32 - 1, got {seed!r}.")
    return int(seed)


def derived_seed(seed: int, *parts: int) -> int:
    """
    Seed of a part of the work, such as an epoch: independent of those of the other parts.

    An epoch that starts from its own seed needs no record of where the generators stood, so a
    training that is taken up again draws the same numbers as one that was never interrupted.
    """
    return int(np.random.SeedSequence([seed, *parts]).generate_state(1, np.uint64)[0] >> 1)
