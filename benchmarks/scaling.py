"""
From tiles to a phase map: time per pixel, memory and disk as maps grow, and with more workers.

- *growth*: mosaics of 100 synthetic tiles (10 % overlap, 3 pixels of jitter, 10 % differences of
  dose, 25 counts per pixel, 1,024 channels) of two sizes, through every stage in the order in which
  a user runs them; each stage's time, the peak memory of all processes together (proportional set
  size: memory that processes share is counted once) and the size on disk. Each size in a process of
  its own.
- *workers*: one worker process and two, of one thread each, on the stages that stream a map.
- *overhead*: what a task costs the scheduler, and what the rate of one core and that overhead would
  give on 64 and 1,024 cores. The assumptions are in :func:`projected`.

    python -m benchmarks.scaling
    python -m benchmarks.scaling --part growth --tiles 270 1100
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import psutil

from benchmarks.common import Result, seconds, write_results
from sigma_scale import compute, mosaic
from sigma_scale.clustering import agreement
from sigma_scale.errors import SigmaScaleWarning
from sigma_scale.features import feature_pass
from sigma_scale.phases import phase_spectra
from sigma_scale.preprocess import rebin, rebin_labels
from sigma_scale.store import locate, open_map, write_map
from sigma_scale.synthetic import synthetic_map, synthetic_tiles
from sigma_scale.workflow.outputs import OutputFolder
from sigma_scale.workflow.outputs import write_results as write_groups
from sigma_scale.workflow.pipeline import map_phases
from sigma_scale.workflow.settings import RunSettings
from sigma_scale.workflow.step_store import StepStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import xarray as xr

    from sigma_scale.synthetic import SyntheticTiles

GRID = (10, 10)
COUNTS = 25.0
LINES = ("O_Ka", "Na_Ka", "Mg_Ka", "Al_Ka", "Si_Ka", "P_Ka", "K_Ka", "Ca_Ka", "Ti_Ka", "Fe_Ka")
BIN = 3
PARTS = ("growth", "workers", "overhead")
CORES = (64, 1024)
_SAMPLE_SECONDS = 0.25


class MemoryWatch:
    """Peak of the memory that this process and those it started take together."""

    def __init__(self) -> None:
        self.peak = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_SAMPLE_SECONDS):
            self.peak = max(self.peak, memory_of_family())

    def since_last(self) -> int:
        """Peak since it was asked before."""
        peak, self.peak = max(self.peak, memory_of_family()), 0
        return peak


def memory_of_family() -> int:
    """Bytes that this process and its children take; what they share is counted once."""
    own = psutil.Process()
    total = 0
    for process in [own, *own.children(recursive=True)]:
        try:
            full = process.memory_full_info()
        except psutil.NoSuchProcess:
            continue
        total += getattr(full, "pss", full.rss)
    return total


class Stages:
    """Seconds and peak memory of stages that follow each other."""

    def __init__(self, watch: MemoryWatch) -> None:
        self._watch = watch
        self.seconds: dict[str, float] = {}
        self.memory: dict[str, int] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure what happens inside the ``with`` block."""
        self._watch.since_last()
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
        self.memory[name] = max(self.memory.get(name, 0), self._watch.since_last())
        print(f"  {name}: {self.seconds[name]:.1f} s", file=sys.stderr)


class TimedSteps(StepStore):
    """Steps of the main job, each measured as a stage."""

    def __init__(self, folder: Path, stages: Stages) -> None:
        super().__init__(folder)
        self._stages = stages

    def keep(
        self, name: str, make: Callable[[], xr.Dataset], *, recipe: object = None
    ) -> xr.Dataset:
        """Keep a step and note what it took."""
        with self._stages.stage(name):
            return super().keep(name, make, recipe=recipe)

    def keep_model(self, name: str, *functions: Any, recipe: object = None) -> Any:
        """Keep a model and note what it took."""
        with self._stages.stage(f"{name} fit"):
            return super().keep_model(name, *functions, recipe=recipe)


def grown(side: int, folder: Path, grid: tuple[int, int] = GRID) -> dict[str, float]:
    """
    Bring a mosaic of tiles of ``side`` x ``side`` pixels from its tiles to its phases.

    Tiles are synthetic, so that their ingest includes drawing their counts.
    """
    made = synthetic_tiles(grid, (side, side), counts_per_pixel=COUNTS)
    layout = mosaic.TileLayout.from_stage(made.images)
    with MemoryWatch() as watch:
        stages = Stages(watch)
        with stages.stage("ingest of tiles"):
            stored = mosaic.ingest_tiles(layout, folder / "tiles")
        with stages.stage("registration"):
            registered = mosaic.register(stored)
        with stages.stage("composition"):
            image = mosaic.write_mosaic(registered, folder / "map.zarr")
        output = OutputFolder(folder / "phases")
        output.open()
        settings = RunSettings(lines=LINES, bin=(BIN, BIN))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SigmaScaleWarning)
            start, known = time.perf_counter(), sum(stages.seconds.values())
            steps = TimedSteps(output.steps, stages)
            result = map_phases(image, settings, steps=steps)
            of_steps = sum(stages.seconds.values()) - known
            stages.seconds["sum spectrum, tables"] = time.perf_counter() - start - of_steps
            with stages.stage("results and report"):
                write_groups(locate(folder / "map.zarr"), result)
                output.write(result)
    pixels = image.shape[0] * image.shape[1]
    figures: dict[str, float] = {"megapixels": pixels / 1e6}
    figures["megapixels of all tiles"] = len(layout) * side**2 / 1e6
    figures |= {f"{name}, s": value for name, value in stages.seconds.items()}
    figures |= {f"{name}, peak memory, GB": value / 1e9 for name, value in stages.memory.items()}
    whole = sum(stages.seconds.values())
    figures["all stages, s"] = whole
    figures["all stages, µs per pixel"] = whole / pixels * 1e6
    figures["peak memory of all processes, GB"] = max(stages.memory.values()) / 1e9
    figures["store of the map, GB"] = size_of(folder / "map.zarr") / 1e9
    figures["stores of the tiles, GB"] = size_of(folder / "tiles") / 1e9
    figures["positions, rms error, px"] = misplacement(made, registered.layout)
    figures["counts of the map per pixel"] = float(result.sum_spectrum.sum()) / pixels
    figures["phases"] = len(result.proportions)
    figures["agreement with the truth"] = agreed(made, registered.layout, result.clusters["labels"])
    return figures


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def misplacement(made: SyntheticTiles, layout: mosaic.TileLayout) -> float:
    """Root mean square distance of tiles from their true places, up to a common shift."""
    off = layout.offsets - made.positions
    off -= off.mean(axis=0)
    return float(np.sqrt((off**2).sum(axis=1).mean()))


def agreed(made: SyntheticTiles, layout: mosaic.TileLayout, labels: xr.DataArray) -> float:
    """Rand index with the known phases, of a part in the middle that fits the memory."""
    shift = np.round((made.positions - layout.offsets).mean(axis=0)).astype(int)
    side = min(4096 // BIN, *labels.shape)
    first = [(size - side) // 2 for size in labels.shape]
    part = labels[first[0] : first[0] + side, first[1] : first[1] + side].compute()
    corner = [int(a) * BIN + int(b) for a, b in zip(first, shift, strict=True)]
    truth = made.whole.labels.isel(
        y=slice(corner[0], corner[0] + BIN * side), x=slice(corner[1], corner[1] + BIN * side)
    )
    known = rebin_labels(truth, (BIN, BIN))
    shape = tuple(min(pair) for pair in zip(known.shape, part.shape, strict=True))
    cut = (slice(0, shape[0]), slice(0, shape[1]))
    return float(agreement(np.asarray(part)[cut], np.asarray(known)[cut]))


def growth(sides: list[int], grid: tuple[int, int]) -> Result:
    """Measure mosaics of tiles of several sizes, each in a process of its own."""
    result = Result(
        "scaling, growth",
        {
            "tiles": f"{grid[0]} x {grid[1]}",
            "counts per pixel": COUNTS,
            "channels": 1024,
            "bin": BIN,
            "load before": round(psutil.getloadavg()[0], 1),
        },
    )
    per_pixel = []
    for side in sides:
        command = [sys.executable, "-m", "benchmarks.scaling", "--grown", str(side)]
        command += ["--grid", *map(str, grid)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        figures = json.loads(done.stdout.splitlines()[-1])
        label = f"{figures['megapixels']:.3g} Mpx"
        result.figures |= {f"{label}: {name}": value for name, value in figures.items()}
        per_pixel.append(figures["all stages, µs per pixel"])
    if len(per_pixel) > 1:
        result.figures["time per pixel, the last over the first"] = per_pixel[-1] / per_pixel[0]
    return result


def streamed_stages(path: Path, folder: Path, labels: xr.DataArray) -> dict[str, float]:
    """Seconds of the stages that stream a map, wherever work goes at the moment."""
    image = open_map(path)
    copy = folder / "copy.zarr"
    seen = rebin(image, (BIN, BIN))
    return {
        "copy of the counts": seconds(lambda: write_map(image, copy, overwrite=True)),
        "feature pass": seconds(lambda: feature_pass(seen, LINES, lazy=False)),
        "spectra per phase": seconds(lambda: phase_spectra(seen, labels)),
    }


def workers(side: int, repeats: int) -> Result:
    """Compare two worker processes with one."""
    result = Result("scaling, workers", {"pixels": side**2, "threads of a worker": 1})
    times: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        labels = {}
        for label, size in (("small", 1024), ("map", side)):
            made = synthetic_map((size, size), counts_per_pixel=COUNTS)
            write_map(made.image, folder / f"{label}.zarr")
            labels[label] = rebin_labels(made.labels, (BIN, BIN)).compute()
        for _ in range(repeats):
            for number, measured in times.items():
                with compute.connect(f"processes:{number}", threads_per_worker=1):
                    # New processes import and load what is compiled before they are timed.
                    streamed_stages(folder / "small.zarr", folder, labels["small"])
                    measured.append(streamed_stages(folder / "map.zarr", folder, labels["map"]))
    for stage in times[1][0]:
        one, two = ([each[stage] for each in times[number]] for number in (1, 2))
        result.figures[f"{stage}: one worker, Mpx/s"] = side**2 / min(one) / 1e6
        result.figures[f"{stage}: two workers, times as fast"] = min(one) / min(two)
    return result


def identity(item: int) -> int:
    """Do nothing, as a task."""
    return item


def overhead(side: int, tasks: int) -> Result:
    """Measure what a task costs, and what that means for many cores."""
    result = Result("scaling, overhead", {"tasks": tasks, "pixels": side**2})
    with compute.connect("processes:2", threads_per_worker=1):
        for _ in compute.stream(identity, range(tasks // 10)):
            pass
        streamed = seconds(lambda: [*compute.stream(identity, range(tasks))])
        image = synthetic_map((side, side), counts_per_pixel=COUNTS).image
        with tempfile.TemporaryDirectory() as name:
            stored = write_map(image, Path(name) / "map.zarr")
            seen = rebin(stored, (BIN, BIN))
            feature_pass(seen, LINES, lazy=False)
            passed = seconds(lambda: feature_pass(seen, LINES, lazy=False))
    result.figures["scheduler and client, ms per task"] = streamed / tasks * 1e3
    regions = max(1, side**2 // 1024**2)
    per_region = passed * 2 / regions
    result.figures["feature pass, s of one core per task of 1,024 x 1,024 pixels"] = per_region
    for cores in CORES:
        rate, bound = projected(cores, per_region, streamed / tasks)
        result.figures[f"projected for {cores:,} cores, Gpx/s"] = rate
        result.figures[f"projected for {cores:,} cores, share of all cores busy"] = bound
    return result


def projected(cores: int, per_task: float, per_task_overhead: float) -> tuple[float, float]:
    """
    Pixels per second of many cores, in units of 10^9, and the share of their time they work.

    Assumed: cores as fast as one here; storage that keeps up with them; one scheduler and one
    client, who handle tasks one after the other at the rate measured here; regions of 1,024 x 1,024
    pixels, and many more of them than cores.
    """
    wanted = cores / per_task
    possible = min(wanted, 1 / per_task_overhead)
    return possible * 1024**2 / 1e9, possible / wanted


def main(arguments: list[str] | None = None) -> dict[str, Result] | None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--tiles", type=int, nargs="+", default=[270, 1100], help="their sides")
    parser.add_argument("--grid", type=int, nargs=2, default=GRID)
    parser.add_argument("--side", type=int, default=8192, help="of the map for the workers")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--tasks", type=int, default=5000)
    parser.add_argument("--quick", action="store_true", help="a toy, to see that it runs")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--grown", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.ERROR)
    grid = (chosen.grid[0], chosen.grid[1])
    if chosen.grown:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(grown(chosen.grown, Path(folder), grid)))
        return None
    if chosen.quick:
        chosen.tiles, grid, chosen.side, chosen.repeats, chosen.tasks = [128], (3, 3), 512, 1, 100
    measure: dict[str, Callable[[], Result]] = {
        "growth": lambda: growth(chosen.tiles, grid),
        "workers": lambda: workers(chosen.side, chosen.repeats),
        "overhead": lambda: overhead(min(chosen.side, 4096), chosen.tasks),
    }
    results = {}
    for part in chosen.part or PARTS:
        results[part] = measure[part]()
        results[part].print()
    if chosen.out:
        write_results(results, chosen.out)
    return results


if __name__ == "__main__":
    main()
