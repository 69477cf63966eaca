"""The main job with its steps on disk: the same, lazy, in little memory, and gone on with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from kept_runs import arrays_of, assert_same_arrays

from sigma_scale import config, store
from sigma_scale.errors import MemoryLimitError
from sigma_scale.workflow import (
    RunSettings,
    figures,
    job_steps,
    kept_steps,
    map_phases,
    outputs,
    step_store,
)
from sigma_scale.workflow.step_store import StepStore

MAPS = ("intensities", "features", "latent", "clusters")
STEPS = ["line_intensity", "features", "latent", "placed", "spectra", "contacts", "regions"]


@pytest.fixture(scope="module")
def fast():
    """Settings of few lines and few phases: every line is fitted in the spectrum of each phase."""
    return RunSettings(
        lines=("O_Ka", "Si_Ka", "Fe_Ka"),
        latent={"n_landmarks": 300, "n_epochs": 30},
        clustering_args={"min_cluster_size": 300},
    )


@pytest.fixture(scope="module")
def in_memory(made, fast):
    return map_phases(made.image, fast)


def same(one, other):
    for name in (*MAPS, "spectra", "contacts"):
        xr.testing.assert_equal(getattr(one, name).compute(), getattr(other, name).compute())
    for name in ("proportions", "elements", "evidence", "weights", "components"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))
    pd.testing.assert_frame_equal(one.regions, other.regions, check_index_type=False)
    assert one.regions.attrs == other.regions.attrs


@pytest.fixture
def written(monkeypatch):
    """Names of the steps that are made."""
    names = []
    write = step_store._write

    def spy(*arguments, name, **options):
        names.append(name)
        return write(*arguments, name=name, **options)

    monkeypatch.setattr(step_store, "_write", spy)
    return names


def test_what_is_kept_is_the_same_and_lazy(made, fast, in_memory, tmp_path, written):
    kept = map_phases(made.image, fast, steps=StepStore(tmp_path))
    assert written == STEPS
    for name in MAPS:
        found = getattr(kept, name)
        assert found.chunks, name
        assert not getattr(in_memory, name).chunks
    same(kept, in_memory)
    assert (
        kept.latent.attrs["recipe"]["parameters"] == in_memory.latent.attrs["recipe"]["parameters"]
    )


def test_only_what_follows_from_a_change_is_made_again(made, fast, tmp_path, written, monkeypatch):
    fits = []
    fit = kept_steps.fit_latent
    monkeypatch.setattr(kept_steps, "fit_latent", lambda *given: fits.append(1) or fit(*given))
    first = map_phases(made.image, fast, steps=StepStore(tmp_path))
    written.clear()
    same(map_phases(made.image, fast, steps=StepStore(tmp_path)), first)
    assert not written
    assert len(fits) == 1
    other = replace(fast, clustering="GaussianMixture", clustering_args={"n_components": 4})
    changed = map_phases(made.image, other, steps=StepStore(tmp_path))
    assert written == STEPS[3:]
    assert len(fits) == 1
    same(changed, map_phases(made.image, other))


def test_memory_that_is_too_small_for_the_maps_is_enough(made, fast, in_memory, tmp_path):
    steps = StepStore(tmp_path)
    with config.options(memory_limit="400kB"):
        with pytest.raises(MemoryLimitError, match="Feature maps"):
            map_phases(made.image, fast)
        seen = job_steps.preprocess_map(made.image, in_memory.settings)
        intensities = kept_steps.keep_intensities(seen, in_memory.settings, steps)
        maps = kept_steps.keep_features(
            seen, in_memory.settings, intensities["line_intensity"], steps
        )
    xr.testing.assert_equal(maps.compute(), in_memory.features)


@pytest.mark.slow
def test_kept_maps_take_no_room_a_second_time(made, fast, in_memory, tmp_path):
    path, copied = tmp_path / "map.zarr", tmp_path / "copied.zarr"
    for place in (path, copied):
        store.write_map(made.image, place)
    steps = StepStore(tmp_path / "steps")
    kept = map_phases(store.open_map(path), fast, steps=steps)
    outputs.write_results(path, kept, steps)
    outputs.write_results(copied, in_memory)
    assert_same_arrays(arrays_of(path), arrays_of(copied))
    shared = {file.parts[-5] for file in chunks_of(path) if file.stat().st_nlink > 1}
    assert shared >= {"line_intensity", "features"}
    alone = [file for file in chunks_of(path / "phases" / "labels") if file.stat().st_nlink > 1]
    assert alone == []  # They were numbered anew.
    steps.clear()
    assert_same_arrays(arrays_of(path), arrays_of(copied))


def chunks_of(folder):
    return [file for file in folder.rglob("c/**/*") if file.is_file()]


def test_the_navigation_image_is_kept_as_a_feature(made, fast, tmp_path, written):
    image = made.image
    if image.navigation is None:
        picture = xr.DataArray(np.random.default_rng(0).random((128, 128)), dims=("y", "x"))
        image = replace(image, images={"navigation": picture})
    wanted = replace(fast, navigation=True)
    kept = map_phases(image, wanted, steps=StepStore(tmp_path))
    assert written[:3] == ["line_intensity", "navigator", "features"]
    assert kept.features["line"].to_numpy()[-1] == "Navigator"
    same(kept, map_phases(image, wanted))
    written.clear()
    map_phases(image, wanted, steps=StepStore(tmp_path))
    assert not written


def test_more_pixels_than_are_fitted_are_placed_by_files(made, fast, tmp_path, monkeypatch):
    monkeypatch.setattr(job_steps, "MOST_FITTED", 3000)
    kept = map_phases(made.image, fast, steps=StepStore(tmp_path))
    assert len(list(tmp_path.glob("placer-*"))) == 1
    same(kept, map_phases(made.image, fast))
    share = kept.clusters.attrs["recipe"]["sample_share"]
    assert share == 3000 / kept.clusters["labels"].size


def test_the_sum_spectrum_of_a_store_is_not_summed_again(made, tmp_path, monkeypatch):
    image = store.write_map(made.image, tmp_path / "map.zarr")
    expected = job_steps.measure_sum_spectrum(made.image)
    monkeypatch.setattr(job_steps.compute, "run", None)
    xr.testing.assert_identical(job_steps.measure_sum_spectrum(image), expected)


@pytest.mark.slow
def test_large_latent_spaces_are_drawn_of_some_pixels(in_memory, monkeypatch):
    assert "each pixel of the binned map" in figures.make_figures(in_memory)["latent"].caption
    monkeypatch.setattr(figures, "_MOST_POINTS", in_memory.clusters["labels"].size // 3)
    drawn = []
    draw = figures.plot.plot_latent

    def spy(points, labels, *others, **options):
        drawn.append((points, labels))
        return draw(points, labels, *others, **options)

    monkeypatch.setattr(figures.plot, "plot_latent", spy)
    panel = figures.make_figures(in_memory)["latent"]
    assert "one pixel in 4, in rows and columns" in panel.caption
    ((points, labels),) = drawn
    np.testing.assert_array_equal(points, in_memory.latent.to_numpy()[::2, ::2])
    np.testing.assert_array_equal(labels, in_memory.clusters["labels"].to_numpy()[::2, ::2])
