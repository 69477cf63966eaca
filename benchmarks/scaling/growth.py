"""
Mosaics of more and more pixels, through every stage in the order in which a user runs them.

Tiles are synthetic (10 % overlap, 3 pixels of jitter, 10 % differences of dose, 25 counts per
pixel, 1,024 channels); their ingest includes drawing their counts. Each size is done in a process
of its own. Memory is that of all its processes together (proportional set size: memory that
processes share is counted once). The limit is to read and decompress, once, what a stage reads.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from benchmarks.common import seconds
from benchmarks.feature_pass import read_and_decompress
from benchmarks.record import Result, Row
from benchmarks.scaling.measuring import BIN, COUNTS, LINES, MemoryWatch, Stages
from sigma_scale import mosaic
from sigma_scale.clustering import agreement
from sigma_scale.errors import SigmaScaleWarning
from sigma_scale.preprocess import rebin_labels
from sigma_scale.store import Encoding, locate
from sigma_scale.synthetic import synthetic_tiles
from sigma_scale.workflow.outputs import OutputFolder, write_results
from sigma_scale.workflow.pipeline import map_phases
from sigma_scale.workflow.settings import RunSettings
from sigma_scale.workflow.step_store import StepStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import xarray as xr
    from numpy.typing import NDArray

    from sigma_scale.synthetic import SyntheticTiles

# Steps of the main job by the rows in which they are shown; what isn't here has a row of its own.
ROWS = {
    "line_intensity": "line intensities and features",
    "features": "line intensities and features",
    "umap fit": "fit of UMAP",
    "latent": "placing all pixels",
    "placed": "clusters of all pixels",
    "spectra": "spectra, contacts, regions",
    "contacts": "spectra, contacts, regions",
    "regions": "spectra, contacts, regions",
}
INGEST, COMPOSITION = "ingest of tiles", "composition"
READS_MAP = "line intensities and features"


@dataclass(frozen=True, kw_only=True)
class Mosaic:
    """
    What is made: tiles of one size, and how fine its phases may be.

    A toy has few landmarks and large clusters, so that neither the fit nor the report of many
    phases takes as long as on a large map.
    """

    side: int
    grid: tuple[int, int] = (10, 10)
    n_landmarks: int = 20_000
    min_cluster_size: int | None = None

    def settings(self) -> RunSettings:
        """Give the main job's settings."""
        clustering = {"min_cluster_size": self.min_cluster_size} if self.min_cluster_size else {}
        return RunSettings(
            lines=LINES,
            bin=(BIN, BIN),
            latent={"n_landmarks": self.n_landmarks},
            clustering_args=clustering,
        )

    def words(self) -> list[str]:
        """Give what :func:`from_words` reads."""
        numbers = (self.side, *self.grid, self.n_landmarks, self.min_cluster_size or 0)
        return [str(number) for number in numbers]


def from_words(words: list[str]) -> Mosaic:
    """Make a mosaic of a command line's words."""
    side, rows, columns, n_landmarks, size = map(int, words)
    return Mosaic(
        side=side, grid=(rows, columns), n_landmarks=n_landmarks, min_cluster_size=size or None
    )


FULL = (Mosaic(side=270), Mosaic(side=1100))
TOYS = (Mosaic(side=200, grid=(2, 2), n_landmarks=500, min_cluster_size=600),)


class TimedSteps(StepStore):
    """Steps of the main job, each measured as a stage."""

    def __init__(self, folder: Path, stages: Stages) -> None:
        super().__init__(folder)
        self._stages = stages

    def keep(
        self, name: str, make: Callable[[], xr.Dataset], *, recipe: object = None
    ) -> xr.Dataset:
        """Keep a step and note what it took."""
        with self._stages.stage(ROWS.get(name, name)):
            return super().keep(name, make, recipe=recipe)

    def keep_model(self, name: str, *functions: Any, recipe: object = None) -> Any:
        """Keep a model and note what it took."""
        with self._stages.stage(ROWS.get(f"{name} fit", f"{name} fit")):
            return super().keep_model(name, *functions, recipe=recipe)


def make(wanted: Mosaic, folder: Path) -> dict[str, Any]:
    """Bring a mosaic from its tiles to its phases; what each stage took, and what was found."""
    made = synthetic_tiles(wanted.grid, (wanted.side, wanted.side), counts_per_pixel=COUNTS)
    layout = mosaic.TileLayout.from_stage(made.images)
    with MemoryWatch() as watch:
        stages = Stages(watch)
        with stages.stage(INGEST):
            stored = mosaic.ingest_tiles(layout, folder / "tiles")
        with stages.stage("registration"):
            registered = mosaic.register(stored)
        with stages.stage(COMPOSITION):
            image = mosaic.write_mosaic(registered, folder / "map.zarr")
        output = OutputFolder(folder / "phases")
        output.open()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SigmaScaleWarning)
            known = sum(stages.seconds.values())
            results: list[Any] = []
            steps = TimedSteps(output.steps, stages)
            job = seconds(lambda: results.append(map_phases(image, wanted.settings(), steps=steps)))
            (result,) = results
            # What isn't kept as a step: the sum spectrum before, the tables after.
            stages.seconds["sum spectrum and tables"] = job - sum(stages.seconds.values()) + known
            with stages.stage("results and report"):
                write_results(locate(folder / "map.zarr"), result)
                output.write(result)
    tiles = [store for store in (folder / "tiles").rglob("counts") if (store / "c").is_dir()]
    encoding = Encoding()
    limits = {
        COMPOSITION: sum(
            seconds(partial(read_and_decompress, tile.parent, encoding, 2)) for tile in tiles
        ),
        READS_MAP: seconds(lambda: read_and_decompress(folder / "map.zarr", encoding, 2)),
    }
    everywhere, unmixed = agreed(made, registered.layout, result.clusters["labels"])
    return {
        "pixels": image.shape[0] * image.shape[1],
        "pixels of tiles": len(layout) * wanted.side**2,
        "seconds": stages.seconds,
        "memory": stages.memory,
        "limits": limits,
        "map, bytes": size_of(folder / "map.zarr"),
        "tiles, bytes": size_of(folder / "tiles"),
        "misplaced": misplacement(made, registered.layout),
        "phases": len(result.proportions),
        "counts": int(result.sum_spectrum.sum()),
        "rand": everywhere,
        "rand, unmixed": unmixed,
    }


def in_millions(pixels: float) -> str:
    """Say how many pixels a mosaic has."""
    return f"{pixels / 1e6:.0f} million pixels"


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def misplacement(made: SyntheticTiles, layout: mosaic.TileLayout) -> float:
    """Root mean square distance of tiles from their true places, up to a common shift."""
    off = layout.offsets - made.positions
    off -= off.mean(axis=0)
    return float(np.sqrt((off**2).sum(axis=1).mean()))


def agreed(
    made: SyntheticTiles, layout: mosaic.TileLayout, labels: xr.DataArray
) -> tuple[float, float]:
    """
    Rand indices with the known phases, of a part in the middle that fits the memory.

    The first is that of all bins, the second that of bins whose pixels are all of one phase.
    """
    shift = np.round((made.positions - layout.offsets).mean(axis=0)).astype(int)
    side = min(4096 // BIN, *labels.shape)
    first = [(size - side) // 2 for size in labels.shape]
    part = labels[first[0] : first[0] + side, first[1] : first[1] + side].compute()
    corner = [int(a) * BIN + int(b) for a, b in zip(first, shift, strict=True)]
    truth = made.whole.labels.isel(
        y=slice(corner[0], corner[0] + BIN * side), x=slice(corner[1], corner[1] + BIN * side)
    ).compute()
    known: Any = rebin_labels(truth, (BIN, BIN))
    shape = tuple(min(pair) for pair in zip(known.shape, part.shape, strict=True))
    cut = (slice(0, shape[0]), slice(0, shape[1]))
    found, known = np.asarray(part)[cut], np.asarray(known)[cut]
    unmixed = of_one_phase(np.asarray(truth)[: BIN * shape[0], : BIN * shape[1]])
    return (
        float(agreement(found, known)),
        float(agreement(found[unmixed], known[unmixed])),
    )


def of_one_phase(truth: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    """Whether all pixels of a bin are of one phase, bin by bin."""
    bins = sliding_window_view(truth, (BIN, BIN))[::BIN, ::BIN]
    same: NDArray[np.bool_] = (bins == bins[..., :1, :1]).all(axis=(2, 3))
    return same


def report(words: list[str]) -> None:
    """Make one mosaic in this process and print what it took as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(make(from_words(words), Path(folder))))


def table(found: dict[str, Any], smaller: Row | None) -> list[Row]:
    """
    Lay out what a mosaic took, stage by stage, and in the last row all together.

    ``smaller`` is the last row of a smaller mosaic, with whose rate this one's is compared.
    """
    pixels = found["pixels"]
    rows = []
    for name, taken in found["seconds"].items():
        limit: dict[str, Any] = {}
        if name in found["limits"]:
            what = "tiles" if name == COMPOSITION else "map"
            share = found["limits"][name] / taken
            limit = {"limit": f"read and decompress the {what}", "of_limit": share}
        size = found["pixels of tiles"] if name == INGEST else pixels
        memory = found["memory"].get(name)
        rows.append(Row(stage=name, size=size, seconds=taken, peak_memory=memory, **limit))
    whole = sum(found["seconds"].values())
    peer: dict[str, Any] = {}
    if smaller is not None:
        peer = {
            "peer": f"the rate at {in_millions(smaller.size)}",
            "times_peer": pixels / whole / smaller.rate,
        }
    agrees = (
        f"tiles placed to {found['misplaced']:.2f} pixels rms; Rand index with the truth "
        f"{found['rand, unmixed']:.3f}, mixed bins at grain borders included {found['rand']:.3f}"
    )
    peak = max(found["memory"].values())
    rows.append(
        Row(stage="all", size=pixels, seconds=whole, peak_memory=peak, agreement=agrees, **peer)
    )
    return rows


def measure(*, quick: bool) -> Iterator[Result]:
    """Measure mosaics of two sizes, or a toy, each in a process of its own."""
    smaller: Row | None = None
    for wanted in TOYS if quick else FULL:
        command = [sys.executable, "-m", "benchmarks.scaling", "--report", *wanted.words()]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        rows = table(found, smaller)
        smaller = rows[-1]
        tiles = f"{wanted.grid[0]} x {wanted.grid[1]} of {wanted.side} x {wanted.side}"
        yield Result(
            f"scaling: {in_millions(found['pixels'])}",
            {
                "tiles": tiles,
                "counts per pixel": COUNTS,
                "channels": 1024,
                "bin": BIN,
                "pixels across a grain": 40,
            },
            {
                "clusters": found["phases"],
                "counts per pixel of the map": found["counts"] / found["pixels"],
                "Rand index with the truth": found["rand"],
                "Rand index with the truth, bins of one phase": found["rand, unmixed"],
                "positions, rms error, pixels": found["misplaced"],
                "store of the map, GB": found["map, bytes"] / 1e9,
                "stores of the tiles, GB": found["tiles, bytes"] / 1e9,
            },
            rows,
        )
