"""The benchmark of latent spaces runs, on a toy, so that it does not rot."""

import json

import pytest

from benchmarks import latent


def test_landmarks_and_growth(tmp_path):
    arguments = [
        "--quick",
        "--parts",
        "landmarks",
        "growth",
        "--out",
        str(tmp_path / "latent.json"),
    ]
    result = latent.main(arguments)
    figures = json.loads((tmp_path / "latent.json").read_text())["figures"]
    assert figures == result.figures
    ours, uniform = (figures[f"landmarks {n}: of the rare phase"] for n in ("ours", "uniform"))
    assert ours >= uniform
    assert figures["131,072 pixels: placement, s"] > 0


@pytest.mark.slow
def test_all_of_it():
    figures = latent.main(["--quick"]).figures
    assert figures["ours: trustworthiness"] > 0.9
    assert figures["ours: Rand index, mixture"] > 0.8
    assert figures["rare phase: its landmarks"] > 0
