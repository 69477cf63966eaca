"""The training loop: batches are slices of a shuffled tensor, epochs have seeds of their own."""

from __future__ import annotations

import logging
import math
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from sigma_scale.errors import ParameterError
from sigma_scale.latent.autoencoder.engine import seeded, torch
from sigma_scale.latent.autoencoder.losses import Objective, criterion_named
from sigma_scale.latent.autoencoder.seeds import derived_seed
from sigma_scale.progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import numpy as np
    from numpy.typing import NDArray

    from sigma_scale.latent.autoencoder.settings import TrainingSettings

__all__ = ["Trainer"]

_LOGGER = logging.getLogger(__name__)

_HELD_OUT = 0.15
_EVALUATION_ROWS = 4096
_ROWS_PER_THREAD = 128
_SPLIT, _EPOCH = 1, 2  # what a derived seed is for


class Trainer:
    """
    A network in training.

    Parameters
    ----------
    network : torch.nn.Module
        What is trained, in place.
    rows : numpy.ndarray, shape (n, k), float32
        Feature vectors; they are copied to the device as one tensor.
    settings : TrainingSettings
        How to train.
    seed : int
        Seed of all that is random.
    device : torch.device
        Where to train.

    Attributes
    ----------
    epoch : int
        Epochs done.
    history : list of dict
        For each epoch ``epoch``, ``train``, ``evaluation`` (NaN with ``train_all``) and
        ``learning_rate``.
    best : float
        Lowest loss so far of those that are watched.
    stale : int
        Epochs since then.

    Raises
    ------
    ParameterError
        If there are too few rows to hold some out, the scheduler refuses its arguments, or the
        values are no shares and the criterion needs such.
    """

    def __init__(
        self,
        network: Any,
        rows: NDArray[np.float32],
        settings: TrainingSettings,
        *,
        seed: int,
        device: torch.device,
    ) -> None:
        self.network = network.to(device)
        self.settings = settings
        self.seed = seed
        self.device = device
        self.epoch = 0
        self.history: list[dict[str, float]] = []
        self.best = math.inf
        self.stale = 0
        criterion = criterion_named(settings.criterion)
        _check_range(rows, criterion)
        if isinstance(criterion, torch.nn.Module):
            criterion = criterion.to(device)
        self._objective = Objective(criterion, settings.kld_lambda)
        self._train, self._held_out = self._split(torch.from_numpy(rows).to(device))
        self.optimizer = torch.optim.Adam(
            self.network.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,  # one pass over all weights: a third of the time of a step otherwise
        )
        self.scheduler = _scheduler(self.optimizer, settings)

    @property
    def learning_rate(self) -> float:
        """Current learning rate."""
        return float(self.optimizer.param_groups[0]["lr"])

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do: enough epochs, or no improvement any more."""
        return self.epoch >= self.settings.num_epochs or self.stale >= self.settings.patience

    def run(self, on_epoch: Callable[[Trainer], None] | None = None) -> None:
        """
        Train until enough epochs are done or the loss has stopped falling.

        Parameters
        ----------
        on_epoch : callable, optional
            Called with this trainer after each epoch.

        Raises
        ------
        ParameterError
            If the loss is no longer a finite number.
        """
        total = self.settings.num_epochs
        with (
            _few_threads(self.settings.batch_size),
            progress_bar("Training", total=total, unit="epoch") as bar,
        ):
            bar.update(self.epoch)
            while not self.finished:
                self._one_epoch()
                bar.set_postfix(_shown(self.history[-1]), refresh=False)
                bar.update(1)
                if on_epoch is not None:
                    on_epoch(self)
        if self.epoch < total:
            _LOGGER.info(
                "Training stopped after %d epochs: no lower loss for %d", self.epoch, self.stale
            )

    def _split(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        if self.settings.task == "train_all":
            return rows, None
        if len(rows) < 2:  # noqa: PLR2004
            raise ParameterError(
                f"task='train_eval' holds rows out and needs at least 2, got {len(rows)}."
            )
        order = _permutation(len(rows), derived_seed(self.seed, _SPLIT), self.device)
        n_held_out = max(1, round(_HELD_OUT * len(rows)))
        return rows[order[n_held_out:]], rows[order[:n_held_out]]

    def _one_epoch(self) -> None:
        before = self.learning_rate
        seed = derived_seed(self.seed, _EPOCH, self.epoch)
        with seeded(seed, self.device):
            train = self._train_once(_permutation(len(self._train), seed, self.device))
            evaluation = self._evaluate()
        watched = train if self._held_out is None else evaluation
        if not math.isfinite(watched):
            raise ParameterError(
                f"The loss of epoch {self.epoch + 1} is {watched}: the training diverged. Lower "
                f"learning_rate={self.settings.learning_rate} or check the scale of the features."
            )
        self.epoch += 1
        self.history.append(
            {
                "epoch": self.epoch,
                "train": train,
                "evaluation": evaluation,
                "learning_rate": before,
            }
        )
        self.stale = 0 if watched < self.best else self.stale + 1
        self.best = min(self.best, watched)
        if self.scheduler is not None:
            self.scheduler.step(watched)
        if self.settings.verbose and self.learning_rate != before:
            _LOGGER.info(
                "Epoch %d: learning rate lowered from %g to %g",
                self.epoch, before, self.learning_rate,
            )  # fmt: skip

    def _train_once(self, order: torch.Tensor) -> float:
        self.network.train()
        noise = self.settings.noise
        total = torch.zeros((), device=self.device)
        for target in torch.split(self._train[order], self.settings.batch_size):
            inputs = target + noise * torch.randn_like(target) if noise else target
            with self._precision():
                outputs = self.network(inputs)
            loss = self._objective(outputs, target)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            # Summed where it is: asking for the number would wait for the GPU at each step.
            total += loss.detach() * len(target)
        return float(total) / len(order)

    def _evaluate(self) -> float:
        if self._held_out is None:
            return math.nan
        self.network.eval()
        total = torch.zeros((), device=self.device)
        with torch.inference_mode():
            for target in torch.split(self._held_out, _EVALUATION_ROWS):
                with self._precision():
                    outputs = self.network(target)
                total += self._objective(outputs, target) * len(target)
        return float(total) / len(self._held_out)

    def _precision(self) -> AbstractContextManager[Any]:
        if not self.settings.mixed_precision:
            return nullcontext()
        # bfloat16 has the range of float32, so gradients need no scaling.
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


@contextmanager
def _few_threads(batch_size: int) -> Iterator[None]:
    """
    Keep PyTorch from splitting small batches among many threads.

    A batch of 64 rows gains a fifth from a second thread, and takes ten times as long where the
    processors are busy and threads wait for each other. Sums over a batch are also split by
    threads: without this, weights would depend on the number of processors.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(min(before, max(1, batch_size // _ROWS_PER_THREAD)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _shown(losses: dict[str, float]) -> dict[str, float]:
    """What a progress bar says beside the number of epochs."""
    return {name: x for name, x in losses.items() if name != "epoch" and not math.isnan(x)}


def _permutation(n: int, seed: int, device: torch.device) -> torch.Tensor:
    """Shuffle row numbers by a generator of their own, on the CPU: the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(n, generator=generator).to(device)


def _scheduler(
    optimizer: torch.optim.Optimizer, settings: TrainingSettings
) -> torch.optim.lr_scheduler.ReduceLROnPlateau | None:
    arguments = settings.scheduler_args()
    if arguments is None:
        return None
    try:
        return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **arguments)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"lr_scheduler_args cannot be {arguments}: {error}") from error


def _check_range(rows: NDArray[np.float32], criterion: Any) -> None:
    if isinstance(criterion, torch.nn.BCELoss) and (rows.min() < 0 or rows.max() > 1):
        raise ParameterError(
            f"criterion='BCE' needs features from 0 to 1, and these go from {rows.min():g} to "
            f"{rows.max():g}. Normalise them by norm.softmax, or use criterion='MSE'."
        )
