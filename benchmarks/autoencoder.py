"""
Training and applying an autoencoder: batches as slices of a shuffled tensor, against a DataLoader.

Both train the same network from the same weights on the same batches with the same optimizer; only
how a batch is made differs. The peer is what PyTorch's tutorials do: a ``DataLoader`` over a
``TensorDataset`` that gathers each batch row by row in Python. Below stands the latent space of a
map streamed from its file in blocks, against the whole map in one go. The limit is the rate of
large matrix products, and for the batches alone that at which memory is read. The memory is the
peak of a process of its own with all that it imports.

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

from benchmarks.common import median_ratio, peak_memory, report_memory, rounds, seconds
from benchmarks.libraries import of_memory
from benchmarks.limits import memory_read_rate
from benchmarks.record import Result, Row, publish
from sigma_scale.latent.autoencoder import AutoEncoder, Trainer, TrainingSettings, encode
from sigma_scale.latent.autoencoder.encoding import BLOCK_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

SEED = 0
CPU = torch.device("cpu")
PEER = f"DataLoader of torch {torch.__version__}"
MATRIX = 2
"""Dimensions of the weights that are factors of matrix products."""


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


def walk(kind: str, rows: torch.Tensor, order: torch.Tensor, size: int) -> int:
    """Go through the batches of an epoch and do nothing with them."""
    return sum(len(batch) for batch in BATCHES[kind](rows, order, size))


def product_rate(side: int = 1024, repeats: int = 5) -> float:
    """Multiplications and additions per second of products of large float32 matrices."""
    one, other = torch.rand(side, side), torch.rand(side, side)
    torch.mm(one, other)
    return 2 * side**3 / min(seconds(lambda: torch.mm(one, other)) for _ in range(repeats))


def products(model: AutoEncoder) -> int:
    """Multiplications and additions of the matrix products for a row that passes the network."""
    return 2 * sum(weights.numel() for weights in model.parameters() if weights.ndim == MATRIX)


def of_products(operations: float, taken: float, rate: float) -> dict[str, Any]:
    """Share of the time that the matrix products alone would take at the best."""
    return {"limit": "matrix products", "of_limit": operations / rate / taken}


def compare_training(chosen: argparse.Namespace) -> Row:
    """Train by both, in turn; how far apart the losses are says whether it was the same work."""
    rows = features(chosen.rows, chosen.features)
    finals: dict[str, float] = {}

    def train(kind: str) -> None:
        made = trainer(kind, rows, chosen)
        made.run()
        finals[kind] = made.history[-1]["train"]

    times = rounds({kind: partial(train, kind) for kind in TRAINERS}, chosen.repeats)
    epoch = statistics.median(times["slices"]) / chosen.epochs
    # Backwards there are two products for each one forwards.
    operations = 3 * products(network(chosen.features, chosen.hidden)) * len(rows)
    apart = abs(finals["slices"] / finals["DataLoader"] - 1)
    return Row(
        stage="training, an epoch",
        size=len(rows),
        unit="rows",
        seconds=epoch,
        peer=PEER,
        times_peer=median_ratio(times["DataLoader"], times["slices"]),
        **of_products(operations, epoch, product_rate()),
        peak_memory=peak_of("slices", chosen),
        agreement=f"losses differ by {apart:.1g} of theirs",
    )


def compare_batches(chosen: argparse.Namespace) -> Row:
    """Make the batches of an epoch by both, without training on them."""
    rows = torch.from_numpy(features(chosen.rows, chosen.features))
    order = torch.randperm(len(rows))
    pairs = zip(*(make(rows, order, chosen.batch) for make in BATCHES.values()), strict=True)
    equal = all(torch.equal(one, other) for one, other in pairs)
    times = rounds(
        {kind: partial(walk, kind, rows, order, chosen.batch) for kind in BATCHES}, chosen.repeats
    )
    taken = statistics.median(times["slices"])
    return Row(
        stage="batches alone",
        size=len(rows),
        unit="rows",
        seconds=taken,
        peer=PEER,
        times_peer=median_ratio(times["DataLoader"], times["slices"]),
        **of_memory(rows.nbytes, taken, memory_read_rate()),
        agreement="equal" if equal else "different",
    )


def in_one_go(model: AutoEncoder, path: Path) -> NDArray[np.float32]:
    """Encode a file's map at once."""
    with torch.inference_mode():
        latent: NDArray[np.float32] = model.eval().encode(torch.from_numpy(np.load(path))).numpy()
    return latent


def streamed(model: AutoEncoder, path: Path) -> NDArray[np.float32]:
    """Encode a file's map in blocks, as ``Experiment.get_latent`` does."""
    return encode(model, np.load(path, mmap_mode="r"), device="cpu")


ENCODERS: dict[str, Callable[[AutoEncoder, Path], NDArray[np.float32]]] = {
    "streamed": streamed,
    "in one go": in_one_go,
}


def compare_encoding(folder: Path, chosen: argparse.Namespace, figures: dict[str, float]) -> Row:
    """Encode a map from its file by both, in turn."""
    path = folder / "features.npy"
    np.save(path, features(chosen.pixels, chosen.features))
    model = network(chosen.features, chosen.hidden)
    latents: dict[str, NDArray[np.float32]] = {}

    def place(kind: str) -> None:
        latents[kind] = ENCODERS[kind](model, path)

    times = rounds({kind: partial(place, kind) for kind in ENCODERS}, chosen.repeats)
    one, whole = latents.values()
    apart = float(np.abs(one - whole).max() / np.ptp(whole, axis=0).max())
    taken = statistics.median(times["streamed"])
    figures["encoding in one go: peak memory, MB"] = peak_of("in one go", chosen, path) / 1e6
    return Row(
        stage="encoding, streamed",
        size=chosen.pixels,
        seconds=taken,
        peer="in one go",
        times_peer=median_ratio(times["in one go"], times["streamed"]),
        # The encoder is one half of the network, the decoder its mirror image.
        **of_products(products(model) / 2 * chosen.pixels, taken, product_rate()),
        peak_memory=peak_of("streamed", chosen, path),
        agreement=f"differs by at most {apart:.1g} of the spread" if apart else "equal",
    )


def peak_of(kind: str, chosen: argparse.Namespace, file: Path | None = None) -> int:
    """Peak memory in bytes of one method in a process of its own."""
    arguments = ["--memory-of", kind, *(["--file", str(file)] if file else [])]
    for name in ("rows", "features", "batch"):
        arguments += [f"--{name}", str(getattr(chosen, name))]
    report = peak_memory("benchmarks.autoencoder", *arguments, "--hidden", *map(str, chosen.hidden))
    return int(report["peak"])


def report_method(chosen: argparse.Namespace) -> None:
    """Run one method in this process, one epoch of a training, and report its peak memory."""
    if chosen.file is not None:
        ENCODERS[chosen.memory_of](network(chosen.features, chosen.hidden), chosen.file)
    else:
        chosen.epochs = 1
        trainer(chosen.memory_of, features(chosen.rows, chosen.features), chosen).run()
    report_memory()


def measured(folder: Path, chosen: argparse.Namespace) -> Iterator[Result]:
    """Measure training and encoding."""
    parameters: dict[str, Any] = {
        "features": chosen.features,
        "hidden layers": " ".join(map(str, chosen.hidden)),
        "batch": chosen.batch,
        "rows of a block": BLOCK_ROWS,
        "threads": torch.get_num_threads(),
        "repeats": chosen.repeats,
    }
    result = Result("autoencoder", parameters)
    result.machine["versions"]["torch"] = str(torch.__version__)
    result.rows = [
        compare_training(chosen),
        compare_batches(chosen),
        compare_encoding(folder, chosen, result.figures),
    ]
    yield result


def main(arguments: list[str] | None = None) -> list[Result]:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=30_000, help="rows to train on")
    parser.add_argument("--features", type=int, default=10)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--hidden", type=int, nargs="+", default=[512, 256, 128])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--pixels", type=int, default=512 * 512, help="rows to encode")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a toy, to see that it runs")
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    parser.add_argument("--memory-of", choices=[*TRAINERS, *ENCODERS], help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.memory_of:
        report_method(chosen)
        return []
    if chosen.quick:
        chosen.rows, chosen.pixels, chosen.repeats = 1000, 10_000, 1
        chosen.hidden = [16, 8]
    with tempfile.TemporaryDirectory() as folder:
        return publish(measured(Path(folder), chosen), chosen.out)


if __name__ == "__main__":
    main()
