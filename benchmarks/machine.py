"""The machine and the versions with which figures were measured."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

LIBRARIES = (
    "sigma-scale",
    "numpy",
    "scipy",
    "scikit-learn",
    "numba",
    "numcodecs",
    "zarr",
    "dask",
    "xarray",
)


def machine() -> dict[str, Any]:
    """Describe processor, cores, memory, versions, commit, and how busy the machine is."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory, GB": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1),
        "load before": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in LIBRARIES},
        "commit": commit(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def commit() -> str:
    """Short hash of the checkout's commit, with a plus if files differ from it."""
    git = ["git", "-C", str(Path(__file__).parent)]
    done = subprocess.run(
        [*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return "unknown"
    # Figures are written into the checkout while the suite runs.
    paths = ["--", ":/sigma_scale", ":/benchmarks/*.py"]
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", *paths], check=False)
    return done.stdout.strip() + ("+" if changed.returncode else "")
