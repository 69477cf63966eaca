"""
The tutorial's steps on one map, each with its time and peak memory.

A map of 512 x 512 pixels and 1,024 channels is written to an .hspy file. A process of its own then
runs what the tutorial's cells run: import, load, rebin 3 x 3, feature maps with neighbour averaging
and z-score, UMAP, and a mixture of 50 Gaussians. Beside stand the times of the original program,
measured on a map of that size and two cores of another machine; its imports were not timed.

    python -m benchmarks.tutorial
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common import Result, peak_memory, report_memory, seconds
from sigma_scale.export import export_counts
from sigma_scale.synthetic import synthetic_map

if TYPE_CHECKING:
    from collections.abc import Callable

LINES = ["O_Ka", "Na_Ka", "Mg_Ka", "Al_Ka", "Si_Ka", "P_Ka", "K_Ka", "Ca_Ka", "Ti_Ka", "Fe_Ka"]
ORIGINAL = {
    "import": "",
    "load": "8.7",
    "rebin": "6.9",
    "feature maps": "2.4",
    "UMAP": "45 to 150",
    "GMM": "2.5",
}
"""Seconds that the original program takes."""
ORIGINAL_PEAK = 4.1e9
UP_TO_ZSCORE = ("load", "rebin", "feature maps")
ORIGINAL_UP_TO_ZSCORE = 18.0


def forget_peak() -> None:
    """Begin a new peak of this process's memory, where the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        warnings.warn("Peaks of memory are those since the start.", stacklevel=2)


def own_peak() -> int:
    """Peak of this process's memory in bytes since :func:`forget_peak`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def report_steps(path: str, bin_size: int, n_components: int) -> None:
    """Run the tutorial's steps in this process and report their times and peaks."""
    state: dict[str, Any] = {}

    def imports() -> None:
        from sigma_scale import UMAP, GaussianMixture, xray
        from sigma_scale.workflow import norm
        from sigma_scale.workflow.datasets import SEMDataset

        # The table of X-ray lines is eXSpy's, whose import the original has in its import cell too.
        xray.symbols()
        state.update(UMAP=UMAP, GaussianMixture=GaussianMixture, norm=norm, SEM=SEMDataset)

    def load() -> None:
        state["sem"] = state["SEM"](path)

    def rebin() -> None:
        sem = state["sem"]
        sem.rebin_signal(size=(bin_size, bin_size))
        sem.peak_intensity_normalisation()
        sem.remove_first_peak(end=0.1)

    def feature_maps() -> None:
        norm = state["norm"]
        state["sem"].set_feature_list(LINES)
        state["sem"].normalisation([norm.neighbour_averaging, norm.zscore])

    def umap() -> None:
        sem = state["sem"]
        data = sem.normalised_elemental_data.reshape(-1, len(sem.feature_list))
        model = state["UMAP"](n_neighbors=15, min_dist=0.02, random_state=0)
        state["latent"] = model.fit_transform(data)

    def gmm() -> None:
        mixture = state["GaussianMixture"](n_components=n_components, random_state=0)
        state["labels"] = mixture.fit_predict(state["latent"])

    steps: dict[str, Callable[[], None]] = {
        "import": imports,
        "load": load,
        "rebin": rebin,
        "feature maps": feature_maps,
        "UMAP": umap,
        "GMM": gmm,
    }
    times, processor, peaks = {}, {}, {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, step in steps.items():
            forget_peak()
            start = time.process_time()
            times[name] = seconds(step)
            processor[name] = time.process_time() - start
            peaks[name] = own_peak()
    report_memory(
        times=times,
        processor=processor,
        peaks=peaks,
        pixels=int(state["latent"].shape[0]),
        clusters=len(set(state["labels"].tolist())),
    )


def run(side: int, *, channels: int, counts: float, bin_size: int, n_components: int) -> Result:
    """Measure the steps on a map of ``side`` x ``side`` pixels."""
    result = Result(
        "tutorial",
        {
            "map": f"{side} x {side} x {channels}",
            "counts per pixel": counts,
            "bin": f"{bin_size} x {bin_size}",
            "Gaussians": n_components,
        },
    )
    made = synthetic_map((side, side), channels=channels, counts_per_pixel=counts, zero_peak=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.hspy"
        export_counts(made.image, path, dtype="uint8")
        arguments = [str(path), "--bin", str(bin_size), "--components", str(n_components)]
        report = peak_memory("benchmarks.tutorial", "--steps-of", *arguments)
        result.figures["file, MB"] = path.stat().st_size / 1e6
    figures = result.figures
    for name, wall in report["times"].items():
        figures[f"{name}, s"] = wall
        figures[f"{name}, processor s"] = report["processor"][name]
        figures[f"{name}, peak memory, MB"] = report["peaks"][name] / 1e6
    first = sum(report["times"][name] for name in UP_TO_ZSCORE)
    figures["load to z-score, s"] = first
    figures["load to z-score, processor s"] = sum(
        report["processor"][name] for name in UP_TO_ZSCORE
    )
    figures["load to z-score, share of the original's time"] = first / ORIGINAL_UP_TO_ZSCORE
    figures["peak memory up to z-score, MB"] = (
        max(report["peaks"][name] for name in UP_TO_ZSCORE) / 1e6
    )
    figures["peak memory, MB"] = max(report["peaks"].values()) / 1e6
    figures["binned pixels"] = report["pixels"]
    figures["clusters found"] = report["clusters"]
    return result


def print_table(result: Result) -> None:
    """Print the steps beside those of the original."""
    figures = result.figures
    print(f"\n{'step':<14}{'time, s':>10}{'CPU, s':>10}{'peak, MB':>10}{'original, s':>14}")
    for name, original in ORIGINAL.items():
        wall, processor = figures[f"{name}, s"], figures[f"{name}, processor s"]
        peak = figures[f"{name}, peak memory, MB"]
        print(f"{name:<14}{wall:>10.2f}{processor:>10.2f}{peak:>10.0f}{original:>14}")
    first, peak = figures["load to z-score, s"], figures["peak memory, MB"]
    print(f"{'to z-score':<14}{first:>10.2f}{'':>20}{ORIGINAL_UP_TO_ZSCORE:>14.1f}")
    print(f"{'all':<14}{'':>20}{peak:>10.0f}{ORIGINAL_PEAK / 1e6:>11.0f} MB")


def main(arguments: list[str] | None = None) -> Result | None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--channels", type=int, default=1024)
    parser.add_argument("--counts", type=float, default=60.0)
    parser.add_argument("--bin", type=int, default=3)
    parser.add_argument("--components", type=int, default=50, help="Gaussians of the mixture")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--steps-of", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.steps_of:
        report_steps(chosen.steps_of, chosen.bin, chosen.components)
        return None
    result = run(
        chosen.side,
        channels=chosen.channels,
        counts=chosen.counts,
        bin_size=chosen.bin,
        n_components=chosen.components,
    )
    result.print()
    print_table(result)
    if chosen.out:
        result.write(chosen.out)
    return result


if __name__ == "__main__":
    main()
