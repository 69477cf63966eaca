"""
Checkpoints: weights and the state of a training, in safetensors files.

A safetensors file holds arrays and strings and nothing that could run, so reading one that came
from elsewhere is safe. What is not an array stands as JSON in the file's metadata.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sigma_scale.errors import FileFormatError, ParameterError, SourceNotFoundError
from sigma_scale.files import write_atomically
from sigma_scale.latent.autoencoder.engine import safetensors, torch

if TYPE_CHECKING:
    from pathlib import Path

    from sigma_scale.latent.autoencoder.training import Trainer

__all__ = ["Checkpoint", "load_weights", "read_checkpoint", "restore", "save_state", "save_weights"]

_KEY = "sigma_scale"
_SCHEMA = 1
_WEIGHTS, _OPTIMIZER = "network.", "optimizer."


@dataclass(frozen=True)
class Checkpoint:
    """
    Content of a file.

    Attributes
    ----------
    path : pathlib.Path
        Where it was read.
    tensors : dict of str to torch.Tensor
        Weights, and where the file is a whole state also the optimizer's moments.
    facts : dict
        What the network is: ``recipe``; how far it has come: ``epoch``, ``history``; in a whole
        state also ``best``, ``stale``, ``groups`` and ``scheduler``.
    """

    path: Path
    tensors: dict[str, torch.Tensor]
    facts: dict[str, Any]


def save_weights(path: Path, trainer: Trainer, recipe: dict[str, Any]) -> Path:
    """
    Write a network's weights, whole or not at all.

    Parameters
    ----------
    path : pathlib.Path
        File to write or replace.
    trainer : Trainer
        Its network is saved.
    recipe : dict
        Plain values that say what the network is and how it was trained.

    Returns
    -------
    pathlib.Path
        The file written.
    """
    return _write(path, _weights(trainer), _facts(trainer, recipe))


def save_state(path: Path, trainer: Trainer, recipe: dict[str, Any]) -> Path:
    """
    Write all that is needed to go on with a training, whole or not at all.

    Parameters
    ----------
    path : pathlib.Path
        File to write or replace.
    trainer : Trainer
        Between two epochs.
    recipe : dict
        As for :func:`save_weights`.

    Returns
    -------
    pathlib.Path
        The file written.

    Notes
    -----
    Random generators have no state to keep: each epoch starts from a seed of its own.
    """
    state = trainer.optimizer.state_dict()
    moments = {
        f"{_OPTIMIZER}{number}.{name}": tensor
        for number, values in state["state"].items()
        for name, tensor in values.items()
    }
    scheduler = None if trainer.scheduler is None else trainer.scheduler.state_dict()
    facts = _facts(trainer, recipe) | {
        "best": trainer.best,
        "stale": trainer.stale,
        "groups": state["param_groups"],
        "scheduler": scheduler,
    }
    return _write(path, _weights(trainer) | moments, facts)


def read_checkpoint(path: Path) -> Checkpoint:
    """
    Read a checkpoint.

    Raises
    ------
    SourceNotFoundError
        If there is no such file.
    FileFormatError
        If it is damaged, or not a checkpoint of this package.
    """
    if not path.is_file():
        raise SourceNotFoundError(f"There is no checkpoint {path}.")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get(_KEY, "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, ValueError, OSError) as error:
        raise FileFormatError(f"{path} is not a checkpoint, or is damaged: {error}") from error
    kinds = {"recipe": dict, "epoch": int, "history": list, "schema": int}
    if not isinstance(facts, dict) or any(
        not isinstance(facts.get(name), kind) for name, kind in kinds.items()
    ):
        raise FileFormatError(
            f"{path} was not written by sigma_scale: it says nothing of a training."
        )
    if facts["schema"] != _SCHEMA:
        raise FileFormatError(
            f"{path} has the layout {facts['schema']!r}; this version of sigma_scale reads "
            f"{_SCHEMA}."
        )
    return Checkpoint(path, tensors, facts)


def load_weights(network: torch.nn.Module, checkpoint: Checkpoint) -> None:
    """
    Give a network the weights of a checkpoint.

    Raises
    ------
    ParameterError
        If they are those of another network.
    """
    weights = {
        name.removeprefix(_WEIGHTS): tensor
        for name, tensor in checkpoint.tensors.items()
        if name.startswith(_WEIGHTS)
    }
    own = network.state_dict()
    wrong = sorted(own.keys() ^ weights.keys()) or [
        name for name, tensor in own.items() if tensor.shape != weights[name].shape
    ]
    if wrong:
        raise ParameterError(
            f"{checkpoint.path} holds another network: {wrong[0]!r} is missing or has another "
            "shape. Use the model and model_args that it was trained with."
        )
    network.load_state_dict(weights)


def restore(trainer: Trainer, checkpoint: Checkpoint) -> None:
    """
    Bring a trainer to where a saved training stood.

    Raises
    ------
    FileFormatError
        If the checkpoint holds weights only, or its state does not fit.
    ParameterError
        If it is that of another network.
    """
    facts = checkpoint.facts
    if not {"best", "stale", "groups", "scheduler"} <= facts.keys():
        raise FileFormatError(
            f"{checkpoint.path} holds weights only: a training can't go on from it."
        )
    load_weights(trainer.network, checkpoint)
    moments: dict[int, dict[str, torch.Tensor]] = {}
    try:
        for key, tensor in checkpoint.tensors.items():
            if key.startswith(_OPTIMIZER):
                number, name = key.removeprefix(_OPTIMIZER).split(".")
                moments.setdefault(int(number), {})[name] = tensor
        trainer.optimizer.load_state_dict({"state": moments, "param_groups": facts["groups"]})
        if trainer.scheduler is not None:
            trainer.scheduler.load_state_dict(facts["scheduler"])
        trainer.best, trainer.stale = float(facts["best"]), int(facts["stale"])
        trainer.epoch, trainer.history = int(facts["epoch"]), list(facts["history"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise FileFormatError(f"{checkpoint.path} is damaged: {error!r}") from error


def _weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {_WEIGHTS + name: tensor for name, tensor in trainer.network.state_dict().items()}


def _facts(trainer: Trainer, recipe: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": _SCHEMA,
        "recipe": recipe,
        "epoch": trainer.epoch,
        "history": trainer.history,
    }


def _write(path: Path, tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> Path:
    from safetensors.torch import save

    # Copies, since the format has no tensors that share their memory.
    own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    return write_atomically(path, save(own, metadata={_KEY: json.dumps(facts)}))
