"""All benchmarks in their order, each run in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.record import Result, read_results

if TYPE_CHECKING:
    from collections.abc import Sequence

BENCHMARKS = {
    "limits": "what memory, storage and decompression allow here",
    "feature_pass": "all counts of a stored map to line intensities, against a dense array",
    "ingest": "vendor files to a store, against decoding alone",
    "tutorial": "the tutorial's steps, against the original program and HyperSpy",
    "latent": "UMAP on landmarks, against umap-learn",
    "clustering": "HDBSCAN, against hdbscan and fast_hdbscan",
    "mixture": "Gaussian mixtures, against scikit-learn",
    "autoencoder": "training and encoding, against PyTorch's DataLoader",
    "phases": "spectra, abundance, regions and net lines of phases, against SciPy and scikit-image",
    "gui": "from an edit to the picture, against Datashader",
    "scaling": "from 100 tiles to a phase map, one worker and two, the cost of a task",
}
"""What each module measures."""
WITH_PEERS = ("feature_pass", "tutorial", "latent", "clustering", "mixture")
"""Those whose peers run in environments of their own."""
_RECORD = "suite.json"


@dataclass(frozen=True)
class Run:
    """One benchmark's run within the suite."""

    name: str
    seconds: float
    exit_code: int


def command(name: str, folder: Path, *, quick: bool, peers: bool) -> list[str]:
    """Give the command that runs one benchmark alone."""
    words = [sys.executable, "-m", f"benchmarks.{name}", "--out", str(folder / f"{name}.json")]
    if quick:
        words.append("--quick")
    if not peers and name in WITH_PEERS:
        words.append("--no-peers")
    return words


def run_suite(names: Sequence[str], folder: Path, *, quick: bool, peers: bool) -> list[Run]:
    """
    Run benchmarks one after the other; one that fails doesn't stop the others.

    Figures of an earlier run in the folder are removed where the same benchmark is run again, so
    that what is there after a failure isn't taken for new.
    """
    folder.mkdir(parents=True, exist_ok=True)
    runs = []
    for number, name in enumerate(names, 1):
        (folder / f"{name}.json").unlink(missing_ok=True)
        print(f"\n== {name} ({number} of {len(names)}): {BENCHMARKS[name]}", flush=True)
        start = time.perf_counter()
        words = command(name, folder, quick=quick, peers=peers)
        done = subprocess.run(words, check=False, cwd=Path(__file__).parents[1])
        runs.append(Run(name, time.perf_counter() - start, done.returncode))
        record = {"quick": quick, "peers": peers, "runs": [asdict(run) for run in runs]}
        (folder / _RECORD).write_text(json.dumps(record, indent=2) + "\n")
    return runs


def known_results(folder: Path) -> dict[str, list[Result]]:
    """Read what is in a folder, benchmark by benchmark in their order."""
    files = {name: folder / f"{name}.json" for name in BENCHMARKS}
    return {name: read_results(file) for name, file in files.items() if file.is_file()}
