"""Settings of a training, checked before it starts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SCHEDULER_ARGS", "TASKS", "TrainingSettings", "checked_count", "checked_flag"]

TASKS = ("train_all", "train_eval")

SCHEDULER_ARGS = (
    "mode", "factor", "patience", "threshold", "threshold_mode", "cooldown", "min_lr", "eps",
    "verbose",
)  # fmt: skip
"""What ``torch.optim.lr_scheduler.ReduceLROnPlateau`` takes, and ``verbose``, which it took."""

_FREE = ("num_epochs", "patience")  # may differ when a training is taken up again


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """
    How a network is trained.

    Attributes
    ----------
    num_epochs : int
        Passes through the training rows.
    patience : int
        Epochs without a new lowest loss after which training stops.
    batch_size : int
        Rows per step.
    learning_rate, weight_decay : float
        Of Adam.
    task : {"train_all", "train_eval"}
        Train on all rows, or hold 15 % of them out and watch the loss on these.
    noise_added : float or None
        Standard deviation of the Gaussian noise on the inputs; None or 0: none.
    kld_lambda : float
        Weight of the Kullback-Leibler term.
    criterion : str or callable
        Loss; see :func:`~sigma_scale.latent.autoencoder.losses.criterion_named`.
    lr_scheduler_args : mapping or None
        Arguments of ``ReduceLROnPlateau``, and ``verbose``: log each change of the learning
        rate. None: a constant learning rate.
    mixed_precision : bool
        Compute in bfloat16 where that is safe.

    Raises
    ------
    ParameterError
        If a value cannot work; the message lists the valid ones.
    """

    num_epochs: int = 50
    patience: int = 50
    batch_size: int = 64
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    task: str = "train_all"
    noise_added: float | None = None
    kld_lambda: float = 0.0
    criterion: str | Callable[..., Any] = "MSE"
    lr_scheduler_args: Mapping[str, Any] | None = None
    mixed_precision: bool = False

    def __post_init__(self) -> None:
        # NumPy's numbers become Python's own, which PyTorch and checkpoints can take.
        plain: dict[str, Any] = {
            name: checked_count(name, getattr(self, name))
            for name in ("num_epochs", "patience", "batch_size")
        }
        plain["learning_rate"] = _checked_number("learning_rate", self.learning_rate, above=True)
        plain["weight_decay"] = _checked_number("weight_decay", self.weight_decay)
        if self.noise_added is not None:
            plain["noise_added"] = _checked_number("noise_added", self.noise_added)
        plain["kld_lambda"] = _checked_number("KLD_lambda", self.kld_lambda)
        plain["mixed_precision"] = checked_flag("mixed_precision", self.mixed_precision)
        for name, value in plain.items():
            object.__setattr__(self, name, value)
        if self.task not in TASKS:
            raise ParameterError(f"task must be one of {', '.join(TASKS)}, got {self.task!r}.")
        if self.lr_scheduler_args is not None:
            _check_scheduler(self.lr_scheduler_args)

    @property
    def noise(self) -> float:
        """Standard deviation of the noise, 0 for none."""
        return 0.0 if self.noise_added is None else self.noise_added

    def scheduler_args(self) -> dict[str, Any] | None:
        """Arguments of PyTorch's scheduler: without ``verbose``, which is ours."""
        if self.lr_scheduler_args is None:
            return None
        return {
            name: value.item() if isinstance(value, np.generic) else value
            for name, value in self.lr_scheduler_args.items()
            if name != "verbose"
        }

    @property
    def verbose(self) -> bool:
        """Whether changes of the learning rate are logged."""
        return bool((self.lr_scheduler_args or {}).get("verbose", False))

    def fixed(self) -> dict[str, Any]:
        """Plain values of what may not change when a training is taken up again."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _FREE}
        criterion = self.criterion
        plain = criterion if isinstance(criterion, str) else _name_of(criterion)
        values |= {"criterion": plain, "noise_added": self.noise}
        values["lr_scheduler_args"] = self.scheduler_args()
        return values


def _name_of(function: Callable[..., Any]) -> str:
    """
    Name that says the same in each session; a repr may hold an address.

    With the numbers and words that a loss was made with: a repr of PyTorch's leaves them out.
    """
    name = getattr(function, "__qualname__", None)
    if name:
        return str(name)
    made_with = ", ".join(
        f"{key}={value!r}"
        for key, value in sorted(getattr(function, "__dict__", {}).items())
        if isinstance(value, int | float | str) and key != "training" and not key.startswith("_")
    )
    return f"{type(function).__qualname__}({made_with})"


def checked_count(name: str, value: object) -> int:
    """
    Return a number of things as a plain integer.

    Raises
    ------
    ParameterError
        If it is not an integer of at least 1.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ParameterError(f"{name} must be an integer of at least 1, got {value!r}.")
    return int(value)


def checked_flag(name: str, value: object) -> bool:
    """
    Return a yes or no as it is; words such as ``"no"``, which count as true, are refused.

    Raises
    ------
    ParameterError
        If it is neither True nor False.
    """
    if not isinstance(value, bool | np.bool_):
        raise ParameterError(f"{name} must be True or False, got {value!r}.")
    return bool(value)


def _check_scheduler(arguments: object) -> None:
    if not isinstance(arguments, Mapping):
        raise ParameterError(
            "lr_scheduler_args must be a mapping such as {'factor': 0.5, 'patience': 5}, or None "
            f"for a constant learning rate, got {arguments!r}."
        )
    unknown = [name for name in arguments if name not in SCHEDULER_ARGS]
    if unknown:
        raise ParameterError(
            f"lr_scheduler_args has no {', '.join(map(repr, unknown))}; there are: "
            f"{', '.join(SCHEDULER_ARGS)}."
        )
    for name in {*arguments} - {"mode", "threshold_mode", "verbose"}:
        value = arguments[name]
        for number in value if isinstance(value, list | tuple) else (value,):
            _checked_number(f"lr_scheduler_args[{name!r}]", number)


def _checked_number(name: str, value: float, *, above: bool = False) -> float:
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0 or (above and value == 0):
        least = "above 0" if above else "of at least 0"
        raise ParameterError(f"{name} must be a finite number {least}, got {value!r}.")
    return float(value)
