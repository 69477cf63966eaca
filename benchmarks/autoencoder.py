"""
Training and applying an autoencoder: batches as slices of a shuffled tensor, against a DataLoader.

Both train the same network from the same weights on the same batches with the same optimizer; only
how a batch is made differs. The peer is what PyTorch's tutorials do: a ``DataLoader`` over a
``TensorDataset`` that gathers each batch row by row in Python. Below stand the latent space of a
map streamed from its file in blocks, against the whole map in one go.

    python -m benchmarks.autoencoder
    python -m benchmarks.autoencoder --quick
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.common import Result, median_ratio, peak_memory, report_memory, rounds
from sigma_scale.latent.autoencoder import AutoEncoder, Trainer, TrainingSettings, encode
from sigma_scale.latent.autoencoder.encoding import BLOCK_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

SEED = 0
CPU = torch.device("cpu")


def slices(rows: torch.Tensor, order: torch.Tensor, size: int) -> Iterator[torch.Tensor]:
    """Cut batches as our trainer does."""
    yield from torch.split(rows[order], size)


def loaded(rows: torch.Tensor, order: torch.Tensor, size: int) -> Iterator[torch.Tensor]:
    """Make the same batches by a DataLoader."""
    numbers: Any = order.tolist()  # any iterable of numbers serves as a sampler
    for (batch,) in DataLoader(TensorDataset(rows), batch_size=size, sampler=numbers):
        yield batch


BATCHES = {"slices": slices, "DataLoader": loaded}


class LoaderTrainer(Trainer):
    """The peer: our trainer in everything but the batches, which a DataLoader makes."""

    def _train_once(self, order: torch.Tensor) -> float:
        self.network.train()
        total = 0.0
        for target in loaded(self._train, order, self.settings.batch_size):
            loss = self._objective(self.network(target), target)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            total += loss.item() * len(target)
        return total / len(order)


TRAINERS: dict[str, type[Trainer]] = {"slices": Trainer, "DataLoader": LoaderTrainer}


def features(n_rows: int, n_features: int) -> NDArray[np.float32]:
    """Make shares of elements: what a tutorial's softmax gives."""
    rng = np.random.default_rng(SEED)
    return rng.dirichlet(np.ones(n_features), n_rows).astype(np.float32)


def network(n_features: int, hidden: list[int]) -> AutoEncoder:
    """Make a network, with the same weights each time."""
    torch.manual_seed(SEED)
    return AutoEncoder(n_features, hidden_layer_sizes=hidden)


def trainer(kind: str, rows: NDArray[np.float32], chosen: argparse.Namespace) -> Trainer:
    """Make a trainer that stands before its first epoch."""
    settings = TrainingSettings(num_epochs=chosen.epochs, batch_size=chosen.batch)
    model = network(rows.shape[1], chosen.hidden)
    return TRAINERS[kind](model, rows, settings, seed=SEED, device=CPU)


def walk(kind: str, rows: NDArray[np.float32], batch_size: int) -> int:
    """Go through the batches of an epoch and do nothing with them."""
    values, order = torch.from_numpy(rows), torch.randperm(len(rows))
    return sum(len(batch) for batch in BATCHES[kind](values, order, batch_size))


def compare_training(figures: dict[str, float], chosen: argparse.Namespace) -> None:
    """Train by both, in turn; how far apart the losses are says whether it was the same work."""
    rows = features(chosen.rows, chosen.features)
    finals: dict[str, float] = {}

    def train(kind: str) -> None:
        made = trainer(kind, rows, chosen)
        made.run()
        finals[kind] = made.history[-1]["train"]

    times = rounds({kind: partial(train, kind) for kind in TRAINERS}, chosen.repeats)
    bare = rounds(
        {kind: partial(walk, kind, rows, chosen.batch) for kind in TRAINERS},
        chosen.repeats,
    )
    for kind in TRAINERS:
        epoch = statistics.median(times[kind]) / chosen.epochs
        figures[f"{kind}: time per epoch, s"] = epoch
        figures[f"{kind}: training, rows/s"] = len(rows) / epoch
        figures[f"{kind}: batches alone, rows/s"] = len(rows) / statistics.median(bare[kind])
        figures[f"{kind}: final loss"] = finals[kind]
        figures[f"{kind}: peak memory above the imports, MB"] = above_imports(kind, chosen)
    pair = (finals["slices"], finals["DataLoader"])
    figures["training: times the DataLoader"] = median_ratio(times["DataLoader"], times["slices"])
    figures["batches alone: times the DataLoader"] = median_ratio(
        bare["DataLoader"], bare["slices"]
    )
    figures["final losses: relative difference"] = abs(pair[0] - pair[1]) / pair[1]


def in_one_go(model: AutoEncoder, path: Path) -> NDArray[np.float32]:
    """Encode a file's map at once."""
    with torch.inference_mode():
        latent: NDArray[np.float32] = model.eval().encode(torch.from_numpy(np.load(path))).numpy()
    return latent


def streamed(model: AutoEncoder, path: Path) -> NDArray[np.float32]:
    """Encode a file's map in blocks, as ``Experiment.get_latent`` does."""
    return encode(model, np.load(path, mmap_mode="r"), device="cpu")


ENCODERS: dict[str, Callable[[AutoEncoder, Path], NDArray[np.float32]]] = {
    "get_latent, streamed": streamed,
    "get_latent, in one go": in_one_go,
}


def compare_encoding(figures: dict[str, float], folder: Path, chosen: argparse.Namespace) -> None:
    """Encode a map from its file by both, in turn."""
    path = folder / "features.npy"
    np.save(path, features(chosen.pixels, chosen.features))
    model = network(chosen.features, chosen.hidden)
    latents: dict[str, NDArray[np.float32]] = {}

    def place(kind: str) -> None:
        latents[kind] = ENCODERS[kind](model, path)

    times = rounds({kind: partial(place, kind) for kind in ENCODERS}, chosen.repeats)
    for kind in ENCODERS:
        figures[f"{kind}: rows/s"] = chosen.pixels / statistics.median(times[kind])
        figures[f"{kind}: peak memory above the imports, MB"] = above_imports(
            kind, chosen, file=path
        )
    one, whole = latents.values()
    figures["get_latent: streamed, times the speed of one go"] = median_ratio(
        *reversed(times.values())
    )
    figures["get_latent: largest difference / spread"] = float(
        np.abs(one - whole).max() / np.ptp(whole, axis=0).max()
    )


def above_imports(kind: str, chosen: argparse.Namespace, *, file: Path | None = None) -> float:
    """Peak memory in MB of one method in a process of its own, less what the imports take."""
    arguments = ["--memory-of", kind, *(["--file", str(file)] if file else [])]
    for name in ("rows", "features", "batch"):
        arguments += [f"--{name}", str(getattr(chosen, name))]
    report = peak_memory("benchmarks.autoencoder", *arguments, "--hidden", *map(str, chosen.hidden))
    return float(report["peak"] - report["before"]) / 1e6


def report_method(chosen: argparse.Namespace) -> None:
    """Run one method in this process, one epoch of a training, and report its peak memory."""
    import psutil

    before = psutil.Process().memory_info().rss
    if chosen.file is not None:
        ENCODERS[chosen.memory_of](network(chosen.features, chosen.hidden), chosen.file)
    else:
        chosen.epochs = 1
        trainer(chosen.memory_of, features(chosen.rows, chosen.features), chosen).run()
    report_memory(before=before)


def run(chosen: argparse.Namespace) -> Result:
    """Measure training and encoding."""
    parameters: dict[str, Any] = {
        "rows": chosen.rows,
        "features": chosen.features,
        "hidden layers": " ".join(map(str, chosen.hidden)),
        "batch": chosen.batch,
        "epochs": chosen.epochs,
        "encoded rows": chosen.pixels,
        "rows of a block": BLOCK_ROWS,
        "threads": torch.get_num_threads(),
        "repeats": chosen.repeats,
    }
    result = Result("autoencoder", parameters)
    result.machine["versions"]["torch"] = str(torch.__version__)
    with tempfile.TemporaryDirectory() as folder:
        compare_training(result.figures, chosen)
        compare_encoding(result.figures, Path(folder), chosen)
    return result


def main(arguments: list[str] | None = None) -> Result | None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=30_000, help="rows to train on")
    parser.add_argument("--features", type=int, default=10)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--hidden", type=int, nargs="+", default=[512, 256, 128])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--pixels", type=int, default=512 * 512, help="rows to encode")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="a toy, to see that it runs")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--memory-of", choices=[*TRAINERS, *ENCODERS], help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.memory_of:
        report_method(chosen)
        return None
    if chosen.quick:
        chosen.rows, chosen.pixels, chosen.repeats = 1000, 10_000, 1
        chosen.hidden = [16, 8]
    result = run(chosen)
    result.print()
    if chosen.out:
        result.write(chosen.out)
    return result


if __name__ == "__main__":
    main()
