"""
The tutorial's steps on one map, with this project, the original program and HyperSpy.

A map of 512 x 512 pixels and 1,024 channels is written to an .hspy file. Processes of their own,
one after the other, then run what the tutorial's cells run: import, load, rebin 3 x 3, normalise,
feature maps with neighbour averaging and z-score, UMAP, and a mixture of 50 Gaussians; once with
this project and once with ``emsigma``, the original as it was published. HyperSpy, eager and lazy,
makes the line intensities and the sum spectrum of the same binned map. The limit up to the feature
maps is reading and inflating the file's chunks in two threads.

Both UMAPs are seeded at random, as in the tutorial, so clusters are compared with the true phases.
Times include what a user waits for: UMAP compiles for some 10 s in every process, here and there,
and rebinning for one or two when it is used in a new environment for the first time ever. Imports
are left out, and among the further figures.

    python -m benchmarks.tutorial
    python -m benchmarks.tutorial --quick
"""

from __future__ import annotations

import argparse
import os
import tempfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from benchmarks.common import peak_memory, seconds
from benchmarks.libraries import named
from benchmarks.peers import run_peer
from benchmarks.record import Result, Row, in_bytes, publish
from sigma_scale.clustering import agreement
from sigma_scale.export import export_counts
from sigma_scale.preprocess import rebin_labels
from sigma_scale.synthetic import synthetic_map

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

LINES = ["O_Ka", "Na_Ka", "Mg_Ka", "Al_Ka", "Si_Ka", "P_Ka", "K_Ka", "Ca_Ka", "Ti_Ka", "Fe_Ka"]
UP_TO_ZSCORE = ("load", "rebin", "normalise", "feature maps")
CELLS = (*UP_TO_ZSCORE, "UMAP", "GMM")
UP_TO_LINES = ("load", "rebin", "lines")
LIMIT = "reading and inflating the file"


@dataclass(frozen=True)
class Scale:
    """Size of what is measured."""

    side: int
    bin_size: int
    n_components: int
    channels: int = 1024
    counts: float = 60.0


FULL = Scale(side=512, bin_size=3, n_components=50)
QUICK = Scale(side=121, bin_size=3, n_components=12)


@dataclass(frozen=True)
class Run:
    """Steps of one program: its name with its version, its measures, and what it wrote."""

    name: str
    report: dict[str, Any]
    folder: Path

    def seconds(self, steps: Iterable[str]) -> float:
        """Time of some steps together."""
        return float(sum(self.report["times"][step] for step in steps))

    def memory(self, steps: Iterable[str]) -> int | None:
        """Highest peak of some steps in bytes, where it could be measured."""
        peaks = self.report["peaks"]
        return max(peaks[step] for step in steps) if peaks else None

    def array(self, name: str) -> NDArray[Any]:
        """One of the arrays that it wrote."""
        found: NDArray[Any] = np.load(self.folder / f"{name}.npy")
        return found

    def figures(self) -> dict[str, float]:
        """Every step's times and peak."""
        found = {}
        for step, wall in self.report["times"].items():
            found[f"{self.name}, {step}, s"] = wall
            found[f"{self.name}, {step}, processor s"] = self.report["processor"][step]
            if step in self.report["peaks"]:
                found[f"{self.name}, {step}, peak memory, MB"] = self.report["peaks"][step] / 1e6
        return found


def read_and_inflate(path: Path, threads: int = 2) -> int:
    """Read all chunks of an .hspy file's spectra and decompress them; nothing else."""
    with h5py.File(path, "r") as file:
        data = next(iter(file["Experiments"].values()))["data"].id
        found = [data.get_chunk_info(number) for number in range(data.get_num_chunks())]
    opened = os.open(path, os.O_RDONLY)

    def one(chunk: Any) -> int:
        return len(zlib.decompress(os.pread(opened, chunk.size, chunk.byte_offset)))

    try:
        with ThreadPoolExecutor(threads) as pool:
            return sum(pool.map(one, found))
    finally:
        os.close(opened)


def largest_difference(ours: NDArray[Any], theirs: NDArray[Any]) -> str:
    """Say how two arrays agree; the difference is relative to the largest value."""
    if ours.shape != theirs.shape:
        return f"shapes {ours.shape} and {theirs.shape}"
    if np.array_equal(ours, theirs):
        return "equal"
    difference = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
    return f"within {difference:.0e} of the largest"


def with_memory(agrees: str, peer: Run, steps: Iterable[str]) -> str:
    """Add the peer's own memory to how results agree."""
    peak = peer.memory(steps)
    parts = [agrees, "" if peak is None else f"its memory {in_bytes(peak)}"]
    return "; ".join(part for part in parts if part)


def against(ours: Run, peer: Run | None, steps: Iterable[str], agrees: str = "") -> dict[str, Any]:
    """Fields of a row about some steps of ours and of a peer."""
    steps = tuple(steps)
    fields: dict[str, Any] = {
        "seconds": ours.seconds(steps),
        "peak_memory": ours.memory(steps),
    }
    if peer is not None:
        fields["peer"] = peer.name
        fields["times_peer"] = peer.seconds(steps) / ours.seconds(steps)
        fields["agreement"] = with_memory(agrees, peer, steps)
    elif agrees:
        fields["agreement"] = agrees
    return fields


def cells(path: Path, truth: NDArray[Any], scale: Scale, *, peers: bool) -> Result:
    """Measure the tutorial's cells, with the original beside them."""
    limit = min(seconds(lambda: read_and_inflate(path)) for _ in range(2))
    words = (str(scale.bin_size), str(scale.n_components), ",".join(LINES))
    folder = _folder(path, "ours")
    report = peak_memory("benchmarks.tutorial_steps", "cells", str(path), str(folder), *words)
    ours, peer = Run("here", report, folder), None
    if peers:
        folder = _folder(path, "emsigma")
        report = run_peer("emsigma", "emsigma_tutorial", path, folder, *words)
        peer = Run(named("emsigma", report), report, folder)
    rand = agreement(ours.array("labels"), truth)
    counts = maps = ""
    scores = f"Rand index with the true phases {rand:.3f}"
    if peer is not None:
        counts = f"line counts {_compared('lines', ours, peer)}"
        maps = f"z-scores {_compared('features', ours, peer)}"
        scores += f" and {agreement(peer.array('labels'), truth):.3f}"
    pixels, binned = scale.side**2, truth.size
    first = against(ours, peer, UP_TO_ZSCORE, ", ".join(filter(None, (counts, maps))))
    result = Result("the tutorial's cells", _parameters(scale))
    result.rows = [
        Row(
            stage="load to z-score",
            size=pixels,
            limit=LIMIT,
            of_limit=limit / first["seconds"],
            **first,
        ),
        Row(stage="UMAP", size=binned, **against(ours, peer, ("UMAP",))),
        Row(
            stage=f"mixture of {scale.n_components}",
            size=binned,
            **against(ours, peer, ("GMM",), scores),
        ),
        Row(stage="all cells", size=pixels, **against(ours, peer, CELLS)),
    ]
    result.figures = {
        "file, MB": path.stat().st_size / 1e6,
        f"{LIMIT}, s": limit,
        **ours.figures(),
        **(peer.figures() if peer else {}),
        "clusters": float(np.unique(ours.array("labels")).size),
    }
    return result


def line_maps(path: Path, scale: Scale) -> Result:
    """Measure the line intensities of the binned map, with HyperSpy beside them."""
    result = Result("line intensities of the binned map", _parameters(scale))
    folder = _folder(path, "ours-lines")
    size, names = str(scale.bin_size), ",".join(LINES)
    report = peak_memory("benchmarks.tutorial_steps", "lines", str(path), str(folder), size, names)
    ours = Run("here", report, folder)
    result.figures = ours.figures()
    for way in ("eager", "lazy"):
        folder = _folder(path, way)
        report = run_peer("hyperspy", "hyperspy_lines", path, folder, size, way, names)
        peer = Run(f"{way} {named('HyperSpy', report)}", report, folder)
        found = {name: _compared(name, ours, peer) for name in ("lines", "total", "sum_spectrum")}
        agrees = ", ".join(sorted(set(found.values())))
        fields = against(ours, peer, UP_TO_LINES, agrees)
        result.rows.append(Row(stage="load to line intensities", size=scale.side**2, **fields))
        result.figures |= peer.figures()
    return result


def _compared(name: str, ours: Run, peer: Run) -> str:
    return largest_difference(ours.array(name), peer.array(name))


def _folder(path: Path, name: str) -> Path:
    folder = path.parent / name
    folder.mkdir()
    return folder


def _parameters(scale: Scale) -> dict[str, Any]:
    return {
        "map": f"{scale.side} x {scale.side} x {scale.channels}",
        "counts per pixel": scale.counts,
        "bin": f"{scale.bin_size} x {scale.bin_size}",
    }


def measure(scale: Scale, *, peers: bool) -> Iterator[Result]:
    """Measure the steps on a map that is written for it."""
    made = synthetic_map(
        (scale.side, scale.side),
        channels=scale.channels,
        counts_per_pixel=scale.counts,
        zero_peak=True,
    )
    truth = rebin_labels(made.labels.compute(), (scale.bin_size, scale.bin_size)).to_numpy()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.hspy"
        export_counts(made.image, path, dtype="uint8")
        yield cells(path, truth, scale, peers=peers)
        if peers:
            yield line_maps(path, scale)


def main(arguments: list[str] | None = None) -> list[Result]:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a toy size, to see that it runs")
    parser.add_argument("--no-peers", action="store_true", help="without the other programs")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    chosen = parser.parse_args(arguments)
    scale = QUICK if chosen.quick else FULL
    return publish(measure(scale, peers=not chosen.no_peers), chosen.out)


if __name__ == "__main__":
    main()
