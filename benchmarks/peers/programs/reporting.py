"""What every program tells at its end: times, peak memory, and versions of what it imported."""

from __future__ import annotations

import json
import resource
import sys
from importlib import metadata
from pathlib import Path
from typing import Any


def report(**details: Any) -> None:
    """Print details, this process's peak memory in bytes, and versions, as JSON on one line."""
    print(json.dumps({"peak": peak(), "versions": versions(), **details}))


def peak() -> int:
    """Peak memory of this program; that of getrusage begins with the program that started it."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def versions() -> dict[str, str]:
    """Versions of the packages that were imported, by the names they are installed by."""
    imported = {name.partition(".")[0] for name in sys.modules}
    packages = metadata.packages_distributions()
    names = {owner for module in imported for owner in packages.get(module, [])}
    return {name: metadata.version(name) for name in sorted(names)}
