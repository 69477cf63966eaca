"""
Other libraries, run for real, each in an environment of its own.

An environment is what ``NAME.txt`` in this folder pins: every package it needs, since dependencies
are not resolved. It is made when it is first needed, in ``build/peers`` of the checkout or the
folder that the variable ``SIGMA_SCALE_PEERS`` names, and made anew when the file changes. The
programs in ``programs/`` run in it: they import nothing of this project, take their data from
files, write results to files, and print times as JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NAMES = tuple(sorted(file.stem for file in HERE.glob("*.txt")))
NEEDS_PYTHON = {"emsigma": ("3.11",)}
"""Versions of Python with which the pinned packages can be installed, if not with any."""
_MADE = "made-of"


class PeerError(RuntimeError):
    """A peer's environment can't be made, or the peer failed."""


def run_peer(environment: str | None, program: str, *arguments: str | Path) -> dict[str, Any]:
    """
    Run a program in a peer's environment, and read the JSON that it prints on its last line.

    Parameters
    ----------
    environment : str or None
        One of :data:`NAMES`; None: that of this process, whose libraries then stand in.
    program : str
        Name of a module in ``programs/``.
    *arguments : str or pathlib.Path
        Its arguments.

    Returns
    -------
    dict
        What it printed: times in seconds, ``peak`` in bytes, ``versions``.

    Raises
    ------
    PeerError
        If the environment can't be made, or the program fails or reports nothing; with the end of
        what it wrote.
    """
    python = sys.executable if environment is None else python_of(environment)
    command = [python, HERE / "programs" / f"{program}.py", *arguments]
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, env=_clean()
    )
    if done.returncode:
        raise PeerError(
            f"{program} failed in {environment or 'this environment'}:\n{done.stderr[-2000:]}"
        )
    try:
        report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError) as error:
        raise PeerError(f"{program} reported nothing; it wrote:\n{done.stdout[-2000:]}") from error
    return report


def python_of(environment: str) -> Path:
    """Make the environment unless it is there, and give its Python."""
    requirements = HERE / f"{environment}.txt"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    folder = _folder() / environment
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    made = folder / _MADE
    if made.is_file() and made.read_text() == wanted:
        return python
    print(f"Making the environment of {environment} in {folder}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    _run(_base_python(environment), "-m", "venv", folder)
    install = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    _run(*install, "--no-deps", "-r", requirements)
    made.write_text(wanted)  # Last: an environment without it is made anew.
    return python


def _folder() -> Path:
    return Path(os.environ.get("SIGMA_SCALE_PEERS", HERE.parents[1] / "build" / "peers"))


def _clean() -> dict[str, str]:
    """Environment variables without those that lead to this project's packages."""
    return {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "VIRTUAL_ENV"}}


def _base_python(environment: str) -> str:
    wanted = NEEDS_PYTHON.get(environment)
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if wanted is None or own in wanted:
        return sys.executable
    for version in wanted:
        found = shutil.which(f"python{version}")
        if found and _works(found):
            return found
    raise PeerError(f"{environment} needs Python {' or '.join(wanted)}; there is none on the path.")


def _works(python: str) -> bool:
    """Whether a Python on the path starts: version managers put names there that don't."""
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


def _run(*command: str | Path) -> None:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, env=_clean()
    )
    if done.returncode:
        raise PeerError(f"{' '.join(map(str, command))} failed:\n{done.stderr[-2000:]}")
