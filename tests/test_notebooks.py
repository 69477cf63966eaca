"""Notebooks run from top to bottom, on a small map, and carry no outputs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import sigma_scale as ss

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))


def code_cells(path: Path) -> list[dict[str, Any]]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def run(path: Path, *, side: int) -> dict[str, Any]:
    """Run the code cells of a notebook in one namespace."""
    namespace: dict[str, Any] = {}
    for number, cell in enumerate(code_cells(path)):
        source = re.sub(
            r"^SIDE = \d+", f"SIDE = {side}", "".join(cell["source"]), flags=re.MULTILINE
        )
        exec(compile(source, f"{path.name}[{number}]", "exec"), namespace)  # noqa: S102
    return namespace


def test_there_are_notebooks() -> None:
    assert [path.name for path in NOTEBOOKS] == ["quickstart.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_carry_no_outputs(path: Path) -> None:
    cells = code_cells(path)
    assert cells
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_run(path: Path) -> None:
    with ss.options(progress=False):  # what a notebook sets doesn't outlive the test
        namespace = run(path, side=160)
    assert namespace["labels"].shape == (80, 80)
    assert namespace["score"] > 0.8
