"""Folder of a training: the weights of its epochs, and the state that it can go on from."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sigma_scale.errors import ParameterError, SourceNotFoundError, StoreError
from sigma_scale.latent.autoencoder.checkpoints import (
    Checkpoint,
    read_checkpoint,
    restore,
    save_state,
    save_weights,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sigma_scale.latent.autoencoder.training import Trainer

__all__ = ["TrainingFolder"]

_LOGGER = logging.getLogger(__name__)

_SUFFIX = ".safetensors"


class TrainingFolder:
    """
    Where a training's checkpoints are.

    Parameters
    ----------
    path : pathlib.Path
        The folder; it is made when the first checkpoint is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def state_path(self) -> Path:
        """State that a training can go on from."""
        return self.path / f"training_state{_SUFFIX}"

    def epoch_path(self, epoch: int) -> Path:
        """Weights after an epoch."""
        return self.path / "checkpoints" / f"epoch_{epoch:04d}{_SUFFIX}"

    def check_writable(self) -> None:
        """
        Find out before a training that its checkpoints could not be written after it.

        Raises
        ------
        StoreError
            If there is no such folder and none can be made, or it may not be written to.
        """
        wanted = self.epoch_path(1).parent
        try:
            nearest = next(place for place in (wanted, *wanted.parents) if place.exists())
            usable = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
            reason = f"{nearest} is not a folder, or may not be written to"
        except OSError as error:
            usable, reason = False, str(error)
        if not usable:
            raise StoreError(
                f"No checkpoints can be written to {self.path}: {reason}. Give another "
                "general_results_dir or descriptor."
            )

    def save(self, trainer: Trainer, recipe: dict[str, Any]) -> None:
        """
        Write the weights of a trainer's epoch, then its state.

        Raises
        ------
        StoreError
            If they can't be written, for example because the disk is full.
        """
        with self._explained(f"The checkpoint of epoch {trainer.epoch} can't be written to"):
            save_weights(self.epoch_path(trainer.epoch), trainer, recipe)
            save_state(self.state_path, trainer, recipe)

    def clear(self) -> None:
        """
        Remove what an earlier training wrote: its epochs are not those of a new one.

        Raises
        ------
        StoreError
            If it can't be removed.
        """
        with self._explained("The checkpoints of an earlier training can't be removed from"):
            self._remove_drafts()
            files = [file for file in (*self._epoch_files(), self.state_path) if file.is_file()]
            for file in files:
                file.unlink()
        if files:
            _LOGGER.info("%s: replacing the checkpoints of an earlier training", self.path)

    def state(self) -> Checkpoint | None:
        """Read the state to go on from; None where there is none."""
        if not self.state_path.is_file():
            _LOGGER.info("%s: no training to go on with, starting one", self.path)
            return None
        return read_checkpoint(self.state_path)

    def resume(self, trainer: Trainer, saved: Checkpoint, recipe: dict[str, Any]) -> None:
        """
        Bring a trainer to where the saved training stood.

        Raises
        ------
        ParameterError
            If that one had other data, another network or other settings.
        FileFormatError
            If the state is damaged.
        StoreError
            If what a killed writer left there can't be removed.
        """
        there = saved.facts["recipe"]
        differing = [*_differing(_flat(there), _flat(recipe))]
        if differing:
            raise ParameterError(
                f"Cannot go on with the training in {saved.path}: {'; '.join(differing)}. Use the "
                "same data and settings, or resume=False."
            )
        restore(trainer, saved)
        with self._explained("Drafts of checkpoints can't be removed from"):
            self._remove_drafts()
        _LOGGER.info("%s: going on after epoch %d", self.path, trainer.epoch)

    def open(self, which: str | Path | int | None) -> Checkpoint:
        """
        Read a checkpoint by its path or epoch; None: the state of the last training.

        Raises
        ------
        SourceNotFoundError
            If there is no such checkpoint.
        FileFormatError
            If it is damaged or no checkpoint.
        ParameterError
            If it is neither a path nor an epoch.
        """
        if which is None:
            return read_checkpoint(self.state_path)
        if isinstance(which, str | os.PathLike):
            return read_checkpoint(Path(which))
        if isinstance(which, bool) or not isinstance(which, Integral):
            raise ParameterError(
                f"path must be a file, or the number of an epoch from 1 on, got {which!r}."
            )
        file = self.epoch_path(int(which))
        if not file.is_file():
            numbers = [
                found.stem.removeprefix("epoch_").lstrip("0") for found in self._epoch_files()
            ]
            raise SourceNotFoundError(
                f"There is no checkpoint of epoch {which} in {file.parent}; there are: "
                f"{', '.join(numbers) or 'none'}. save_model_every_epoch=True keeps all."
            )
        return read_checkpoint(file)

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"{what} {self.path}: {error}. Once that is mended, run_model(resume=True) goes on "
                "from the last state there, if any."
            ) from error

    def _remove_drafts(self) -> None:
        """Remove what a writer that was killed has left half-written."""
        for folder in (self.path, self.path / "checkpoints"):
            for draft in folder.glob(f".*{_SUFFIX}.*.part"):
                draft.unlink(missing_ok=True)

    def _epoch_files(self) -> list[Path]:
        return sorted((self.path / "checkpoints").glob(f"epoch_*{_SUFFIX}"))


def _flat(recipe: dict[str, Any]) -> dict[str, Any]:
    """Values that must agree: all but the version of PyTorch, the settings one by one."""
    settings = recipe.get("settings")
    values = {k: v for k, v in recipe.items() if k not in {"settings", "torch"}}
    return values | (settings if isinstance(settings, dict) else {})


def _differing(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    return [
        f"{name} was {there.get(name)!r}, now {value!r}"
        for name, value in here.items()
        if there.get(name) != value
    ]
