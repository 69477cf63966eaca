"""Experiment: an autoencoder, its training and its latent space, as the tutorial holds them."""

from __future__ import annotations

import logging
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sigma_scale.errors import ParameterError, SigmaScaleError
from sigma_scale.latent.autoencoder.data import FeatureRows, training_rows
from sigma_scale.latent.autoencoder.seeds import checked_seed
from sigma_scale.latent.autoencoder.settings import (
    TrainingSettings,
    checked_count,
    checked_flag,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    import pandas as pd
    import torch
    from numpy.typing import NDArray

    from sigma_scale.latent.autoencoder.training import Trainer

__all__ = ["Experiment"]

_LOGGER = logging.getLogger(__name__)

_SCHEDULER = MappingProxyType(
    {"factor": 0.5, "patience": 5, "threshold": 1e-2, "min_lr": 1e-6, "verbose": True}
)
_COLUMNS = ("epoch", "train", "evaluation", "learning_rate")
_SHOWN_ROWS = 4096


class Experiment:
    """
    An autoencoder that learns a latent space of a map's pixels.

    Parameters
    ----------
    descriptor : str
        Name of the experiment, and of its folder.
    general_results_dir : path
        Folder of the experiments' folders. Nothing is written before the training.
    model : type, default: None
        Class of the network: ``AutoEncoder`` (None), ``VariationalAutoEncoder`` or one's own
        (see :class:`~sigma_scale.latent.autoencoder.AutoEncoder`).
    model_args : mapping, optional
        Further arguments of the class, such as ``{"hidden_layer_sizes": (512, 256, 128)}``.
    chosen_dataset : array-like, shape (n, k) or (y, x, k)
        Features of each pixel: NumPy, Dask or xarray.
    save_model_every_epoch : bool, default: False
        Keep the weights of each epoch, and a state that an interrupted training can go on from.
        Otherwise both are written once, at the end.
    random_state : int, optional
        Seed. None: drawn from PyTorch's generator, so that ``same_seeds`` decides.
    n_landmarks : int, optional
        Pixels to train on at most. None: all up to 250,000, and that many landmarks (see
        :func:`~sigma_scale.latent.choose_landmarks`) of larger maps.
    device : {"auto", "cpu", "cuda"}, default: "auto"
        Where to run; ``"auto"`` takes the GPU if there is a usable one.
    mixed_precision : bool, default: False
        Train in bfloat16 where that is safe.

    Attributes
    ----------
    seed : int
        What all that is random comes from.

    Raises
    ------
    EngineUnavailableError
        If PyTorch is missing, or the device can't be used.
    ParameterError
        If an argument cannot work; the message lists the valid ones.
    EmptyMapError
        If the dataset has no pixels or no features.
    """

    def __init__(
        self,
        *,
        descriptor: str,
        general_results_dir: str | Path = "./",
        model: type[torch.nn.Module] | None = None,
        model_args: Mapping[str, Any] | None = None,
        chosen_dataset: Any,
        save_model_every_epoch: bool = False,
        random_state: int | None = None,
        n_landmarks: int | None = None,
        device: str = "auto",
        mixed_precision: bool = False,
    ) -> None:
        from sigma_scale.latent.autoencoder.building import NetworkPlan
        from sigma_scale.latent.autoencoder.engine import choose_device, torch
        from sigma_scale.latent.autoencoder.folder import TrainingFolder
        from sigma_scale.latent.autoencoder.networks import AutoEncoder

        folder = _folder_of(general_results_dir, descriptor)
        self.descriptor = descriptor
        self.save_model_every_epoch = checked_flag("save_model_every_epoch", save_model_every_epoch)
        self.n_landmarks = (
            None if n_landmarks is None else checked_count("n_landmarks", n_landmarks)
        )
        self.mixed_precision = checked_flag("mixed_precision", mixed_precision)
        self._dataset = chosen_dataset
        self._rows = FeatureRows(chosen_dataset)
        self._device = choose_device(device, mixed_precision=mixed_precision)
        self._plan = NetworkPlan(
            AutoEncoder if model is None else model,
            {} if model_args is None else model_args,
            self._rows.n_features,
        )
        self._folder = TrainingFolder(folder)
        self._seed_is_own = random_state is not None
        self.seed = (
            int(torch.randint(2**32, ()))
            if random_state is None
            else checked_seed(random_state, name="random_state")
        )
        self._network: Any = None
        self._history: list[dict[str, float]] = []

    def __repr__(self) -> str:
        state = f"{len(self._history)} epochs" if self._network is not None else "not trained"
        return (
            f"<Experiment {self.descriptor!r}: {self._plan.kind.__name__} of "
            f"{self._rows.n_rows} pixels x {self._rows.n_features} features, {state}>"
        )

    @property
    def results_dir(self) -> Path:
        """
        Folder of this experiment.

        It holds ``checkpoints/epoch_0001.safetensors``, ... and ``training_state.safetensors``.
        """
        return self._folder.path

    @property
    def model_args(self) -> dict[str, Any]:
        """Arguments of the network's class."""
        return dict(self._plan.arguments)

    @property
    def model(self) -> Any:
        """
        The trained network, a ``torch.nn.Module``.

        Raises
        ------
        ParameterError
            If there is none yet.
        """
        self._check_trained("model")
        return self._network

    @property
    def losses(self) -> pd.DataFrame:
        """
        Losses by epoch.

        Columns are ``epoch``, ``train``, ``evaluation`` (NaN with ``train_all``) and
        ``learning_rate``.

        Raises
        ------
        ParameterError
            If nothing was trained or loaded yet.
        """
        import pandas as pd

        self._check_trained("losses")
        return pd.DataFrame(self._history, columns=list(_COLUMNS))

    def run_model(
        self,
        *,
        num_epochs: int = 50,
        patience: int = 50,
        batch_size: int = 64,
        learning_rate: float = 1e-4,
        weight_decay: float = 0.0,
        task: str = "train_all",
        noise_added: float | None = None,
        KLD_lambda: float = 0.0,  # noqa: N803 - the tutorial's name
        criterion: str | Callable[..., Any] = "MSE",
        lr_scheduler_args: Mapping[str, Any] | None = _SCHEDULER,
        print_latent: bool = False,
        resume: bool = False,
    ) -> None:
        """
        Train the network from its initial weights, or go on with a training.

        Repeating it with the same arguments gives the same network. Checkpoints of an earlier
        training in the experiment's folder are replaced; another descriptor keeps them.

        Parameters
        ----------
        num_epochs : int, default: 50
            Passes through the data.
        patience : int, default: 50
            Epochs without a new lowest loss after which training stops. The network stays that
            of the last epoch; :meth:`load_trained_model` brings back another.
        batch_size : int, default: 64
            Rows per step.
        learning_rate, weight_decay : float
            Of Adam.
        task : {"train_all", "train_eval"}, default: "train_all"
            Train on all rows, or hold 15 % of them out and watch the loss on these.
        noise_added : float, optional
            Standard deviation of Gaussian noise on the inputs; None or 0: none.
        KLD_lambda : float, default: 0.0
            Weight of the Kullback-Leibler term. Above 0 the network is variational: in the
            place of ``AutoEncoder``, ``VariationalAutoEncoder`` is trained, with a warning.
        criterion : str or callable, default: "MSE"
            ``"MSE"``, ``"L1"``, ``"SmoothL1"``, ``"Huber"``, ``"BCE"`` or a loss of PyTorch.
        lr_scheduler_args : mapping, optional
            Arguments of ``torch.optim.lr_scheduler.ReduceLROnPlateau``, and ``verbose``: log
            each change of the learning rate. None: a constant learning rate.
        print_latent : bool, default: False
            Log the extent of the latent space after each epoch.
        resume : bool, default: False
            Go on with the interrupted training in the experiment's folder, with the same result
            as if it had not been interrupted; from the start where there is none.

        Raises
        ------
        ParameterError
            If an argument cannot work, a value of the dataset is NaN or infinite, the training
            diverges, or the one to go on with had other data or settings. A network and losses
            from before stay as they are.
        FileFormatError
            If the state to go on with is damaged.
        MemoryLimitError
            If the rows to train on don't fit into memory.
        StoreError
            If the checkpoints can't be written; where that is known, before the training.
        """
        checked_flag("print_latent", print_latent)
        checked_flag("resume", resume)
        settings = TrainingSettings(
            num_epochs=num_epochs,
            patience=patience,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            task=task,
            noise_added=noise_added,
            kld_lambda=KLD_lambda,
            criterion=criterion,
            lr_scheduler_args=lr_scheduler_args,
            mixed_precision=self.mixed_precision,
        )
        from sigma_scale.latent.autoencoder.training import Trainer

        saved = self._folder.state() if resume else None
        seed = self.seed
        if saved is not None and not self._seed_is_own:
            seed = checked_seed(saved.facts["recipe"].get("seed"), name="The saved seed")
        plan = self._plan.for_settings(settings)
        rows = training_rows(self._rows, self.n_landmarks, seed=seed)
        recipe = plan.recipe(settings, rows, seed)
        trainer = Trainer(plan.build(seed), rows, settings, seed=seed, device=self._device)
        if saved is not None:
            self._folder.resume(trainer, saved, recipe)
        self._folder.check_writable()
        to_clear = saved is None

        def save(trainer: Trainer) -> None:
            nonlocal to_clear
            if to_clear:  # Only now: until then, the earlier training's files are all there is.
                self._folder.clear()
                to_clear = False
            self._folder.save(trainer, recipe)

        def after_epoch(trainer: Trainer) -> None:
            self._network, self._history = trainer.network, list(trainer.history)
            if print_latent:
                _log_latent(trainer, rows[:_SHOWN_ROWS])
            if self.save_model_every_epoch and not trainer.finished:
                save(trainer)

        before = (self._network, self._history)
        try:
            trainer.run(after_epoch)
        except SigmaScaleError:
            self._network, self._history = before
            raise
        self._network, self._history = trainer.network.eval(), list(trainer.history)
        self.seed = seed
        save(trainer)

    def get_latent(self) -> NDArray[np.float32]:
        """
        Place every pixel in the latent space, some thousands at a time.

        Returns
        -------
        numpy.ndarray, shape (pixels, n_components), float32
            In the order of the pixels; the same bits however the dataset is chunked.

        Raises
        ------
        ParameterError
            If no network was trained or loaded yet, or a value is NaN or infinite.
        MemoryLimitError
            If the latent space doesn't fit into memory.
        """
        from sigma_scale.latent.autoencoder.encoding import encode

        return encode(self.model, self._dataset, device=self._device.type)

    def load_trained_model(self, path: str | Path | int | None = None) -> None:
        """
        Take a network from a checkpoint, with the losses up to its epoch.

        Parameters
        ----------
        path : path or int, optional
            A file, or the number of an epoch of this experiment (from 1 on); None: where the
            last training stood.

        Raises
        ------
        SourceNotFoundError
            If there is no such checkpoint; the message lists the epochs there are.
        FileFormatError
            If it is damaged or no checkpoint.
        ParameterError
            If it is that of another network, or ``path`` is neither a path nor an epoch.
        """
        from sigma_scale.latent.autoencoder.checkpoints import load_weights

        checkpoint = self._folder.open(path)
        network = self._plan.for_checkpoint(checkpoint).build(self.seed)
        load_weights(network, checkpoint)
        self._network, self._history = network.eval(), list(checkpoint.facts["history"])

    def _check_trained(self, wanted: str) -> None:
        if self._network is None:
            raise ParameterError(
                f"There is no {wanted} yet: call run_model() or load_trained_model() first."
            )


def _folder_of(general_results_dir: object, descriptor: object) -> Path:
    if not isinstance(general_results_dir, str | Path) or "\0" in str(general_results_dir):
        raise ParameterError(
            f"general_results_dir must be the path of a folder, got {general_results_dir!r}."
        )
    if (
        not isinstance(descriptor, str)
        or descriptor in {"", ".", ".."}
        or "\0" in descriptor
        or Path(descriptor).name != descriptor
    ):
        raise ParameterError(f"descriptor must be the name of a folder, got {descriptor!r}.")
    return Path(general_results_dir) / descriptor


def _log_latent(trainer: Trainer, rows: NDArray[np.float32]) -> None:
    from sigma_scale.latent.autoencoder.encoding import encode

    latent = encode(trainer.network, rows, device=trainer.device.type)
    low, high = latent.min(axis=0), latent.max(axis=0)
    extent = ", ".join(f"{a:.3g} to {b:.3g}" for a, b in zip(low, high, strict=True))
    _LOGGER.info("Epoch %d: latent space from %s", trainer.epoch, extent)
