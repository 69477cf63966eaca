"""The demonstration: known phases are found again."""

from __future__ import annotations

import numpy as np
import pytest

from sigma_scale.clustering import agreement
from sigma_scale.preprocess import rebin_labels
from sigma_scale.synthetic import synthetic_map
from sigma_scale.workflow import RunSettings, run_demo

DEMO = {"normalisation": ("zscore",)}
"""What `sigma-scale demo` asks for."""


@pytest.mark.usefixtures("one_figure")
def test_a_small_demonstration_finds_the_phases(tmp_path):
    settings = RunSettings(**DEMO, latent={"n_landmarks": 2000, "n_epochs": 100})
    found = run_demo(tmp_path / "demo", settings, side=256)
    assert 0.9 < found.agreement <= 1
    known = rebin_labels(synthetic_map((256, 256), seed=0).labels, found.result.bin_size)
    assert agreement(found.result.clusters["labels"], known) == found.agreement
    page = (tmp_path / "demo" / "report.html").read_text(encoding="utf-8")
    assert f"adjusted Rand index of {found.agreement:.3f}" in page
    assert "zircon" in page.lower()


@pytest.mark.usefixtures("one_figure")
def test_another_seed_is_another_map(tmp_path):
    settings = RunSettings(**DEMO, latent={"n_landmarks": 500, "n_epochs": 30})
    found = [run_demo(tmp_path / str(k), settings, side=64, seed=k).result for k in range(2)]
    assert not np.array_equal(found[0].sum_spectrum, found[1].sum_spectrum)


@pytest.mark.slow
def test_the_demonstration_agrees_with_the_known_phases(tmp_path):
    found = run_demo(tmp_path / "demo", RunSettings(**DEMO))
    assert found.agreement >= 0.95
    assert found.result.spectra.sizes["phase"] >= 9
