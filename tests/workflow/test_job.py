"""The main job from a file or store to a folder: complete, repeatable, or not there at all."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sigma_scale import plot, store
from sigma_scale.errors import (
    FileFormatError,
    NoSpectraError,
    OutputExistsError,
    SigmaScaleError,
    SourceNotFoundError,
    StoreError,
    UnknownLineError,
)
from sigma_scale.workflow import OutputFolder, RunSettings, job, outputs, run_job

FIGURES = {
    "navigation", "sum_spectrum", "element_maps", "latent", "phase_map", "phase_spectra",
    "end_members",
}  # fmt: skip
GROUPS = {"binned", "latent", "phases"}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("job")


@pytest.fixture(scope="module")
def file(home, made, write_hspy):
    return write_hspy(home / "granite.hspy", made.image)


@pytest.fixture(scope="module")
def from_file(home, file, quick):
    return run_job(file, quick, home / "out")


def files_of(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def contents(folder):
    return {name: (folder / name).read_bytes() for name in files_of(folder)}


# What is written


def test_a_file_gives_the_same_as_the_map_itself(from_file, mapped):
    xr.testing.assert_equal(from_file.clusters, mapped.clusters)
    np.testing.assert_array_equal(from_file.features, mapped.features)


def test_everything_is_in_the_folder(home, from_file):
    folder = home / "out"
    inside = {name for name in files_of(folder) if not name.startswith("map.zarr/")}
    assert inside == {
        "report.html", "settings.yaml", "tables/phases.csv", "tables/phase_spectra.csv",
        "tables/end_members.csv", "tables/end_member_weights.csv", "tables/regions.csv",
        "tables/elements.csv", "tables/contacts.csv",
        *(f"figures/{name}.png" for name in FIGURES - {"navigation"}),
    }  # fmt: skip
    assert not (home / "out.unfinished").exists()
    for picture in (folder / "figures").iterdir():
        assert picture.read_bytes().startswith(b"\x89PNG")
    counts = store.open_map(folder / "map.zarr").to_xarray()
    assert int(counts.sum()) == int(from_file.sum_spectrum.sum())


def test_tables_hold_what_was_found(home, from_file):
    tables = home / "out" / "tables"
    phases = pd.read_csv(tables / "phases.csv", index_col="phase")
    np.testing.assert_array_equal(phases["pixels"], from_file.proportions["pixels"])
    assert phases["share"].sum() == pytest.approx(1)
    spectra = pd.read_csv(tables / "phase_spectra.csv", index_col="energy_kev")
    assert spectra.shape == (1024, 4 * from_file.spectra.sizes["phase"])
    np.testing.assert_array_equal(spectra["counts_0"], from_file.spectra["counts"][0])
    regions = pd.read_csv(tables / "regions.csv", index_col="region")
    assert regions["pixels"].sum() == phases["pixels"].drop(-1, errors="ignore").sum()
    weights = pd.read_csv(tables / "end_member_weights.csv", index_col=0)
    np.testing.assert_allclose(weights, from_file.weights)


def test_results_in_the_store_are_those_returned(home, from_file):
    path = home / "out" / "map.zarr"
    binned = store.open_result(path, "binned")
    xr.testing.assert_equal(
        binned[["line_intensity", "total"]].load(),
        from_file.intensities[["line_intensity", "total"]].drop_vars("energy", errors="ignore"),
    )
    np.testing.assert_array_equal(binned["features"], from_file.features)
    assert binned["features"].attrs["recipe"] == from_file.features.attrs["recipe"]
    np.testing.assert_array_equal(store.open_result(path, "latent")["latent"], from_file.latent)
    phases = store.open_result(path, "phases").load()
    xr.testing.assert_equal(phases[["labels", "probability"]], from_file.clusters)
    xr.testing.assert_equal(phases[list(from_file.spectra)], from_file.spectra)
    assert phases["x"].attrs["units"] == "µm"


@pytest.mark.usefixtures("one_figure")
def test_the_settings_file_makes_the_same_again(home, file, from_file):
    settings = RunSettings.from_yaml(home / "out" / "settings.yaml")
    assert settings == from_file.settings
    again = run_job(file, settings, home / "again")
    xr.testing.assert_identical(again.clusters, from_file.clusters)
    assert (home / "again" / "settings.yaml").read_text() == settings.to_yaml()


def test_the_report_needs_nothing_but_itself(home, from_file):
    page = (home / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == len(FIGURES) - 1
    assert "<script" not in page
    assert "@import" not in page
    links = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')>\s]+)""", page)
    assert [link for link in links if not link.startswith(("data:image/png", "#"))] == []


@pytest.mark.usefixtures("one_figure")
def test_a_store_is_used_where_it_is(home, made, quick, from_file):
    path = home / "made.zarr"
    store.write_map(made.image, path)
    before = contents(path / "counts")
    result = run_job(path, quick, home / "from_store")
    xr.testing.assert_equal(result.clusters, from_file.clusters)
    assert not (home / "from_store" / "map.zarr").exists()
    assert contents(path / "counts") == before
    for name in GROUPS:
        store.open_result(path, name)
    other = replace(quick, clustering="GaussianMixture", clustering_args={"n_components": 3})
    second = run_job(path, other, home / "from_store_2")
    np.testing.assert_array_equal(
        store.open_result(path, "phases")["labels"], second.clusters["labels"]
    )


@pytest.mark.usefixtures("one_figure")
def test_warnings_are_in_the_report_and_given_once(home, file, quick):
    with pytest.warns(match="left out") as caught:
        run_job(file, replace(quick, bin=(3, 3)), home / "noted")
    assert len([w for w in caught if "left out" in str(w.message)]) == 1
    assert "left out" in (home / "noted" / "report.html").read_text(encoding="utf-8")


# What can't be done


@pytest.mark.usefixtures("one_figure")
@pytest.mark.parametrize(
    ("owner", "step"),
    [
        (job, "map_phases"),
        (job, "write_results"),
        (outputs, "make_figures"),
        (plot, "write_report"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_job_that_fails_leaves_nothing_that_looks_finished(  # noqa: PLR0917
    owner, step, file, quick, tmp_path, monkeypatch
):
    out = tmp_path / "out"

    def fail(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, fail)
        with pytest.raises(KeyboardInterrupt):
            run_job(file, quick, out)
    assert [path.name for path in tmp_path.iterdir()] == ["out.unfinished"]
    assert not (tmp_path / "out.unfinished" / "report.html").exists()
    chunks = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("map.zarr/counts/c/*/*/0")}
    assert chunks
    run_job(file, quick, out)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    kept = [out / path.relative_to(tmp_path / "out.unfinished") for path in chunks]
    assert [path.stat().st_mtime_ns for path in kept] == list(chunks.values())


@pytest.mark.usefixtures("one_figure")
def test_what_was_on_its_way_into_the_store_of_a_killed_run_is_removed(file, quick, tmp_path):
    folder = OutputFolder(tmp_path / "out")
    left = folder.working / ".map.zarr.abc.results" / "latent"
    left.mkdir(parents=True)
    run_job(file, quick, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").glob(".*")] == []


@pytest.mark.usefixtures("one_figure")
def test_an_unfinished_run_of_another_map_makes_way(made, quick, write_hspy, tmp_path):
    other = write_hspy(tmp_path / "other.hspy", made.image.from_array(
        np.asarray(made.image.to_xarray())[:64, :64], made.image.energy,
        metadata=made.image.metadata,
    ))  # fmt: skip
    folder = OutputFolder(tmp_path / "out")
    folder.open()
    (folder.working / "figures").mkdir()
    (folder.working / "figures" / "old.png").write_bytes(b"old")
    store.write_map(made.image, folder.store)
    result = run_job(other, quick, tmp_path / "out")
    assert result.image.source.shape[:2] == (64, 64)
    assert "figures/old.png" not in files_of(tmp_path / "out")


def test_what_is_there_is_not_replaced_unasked_nor_anything_read(tmp_path, monkeypatch, quick):
    monkeypatch.setattr(job, "read", None)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("out", "file"):
        with pytest.raises(OutputExistsError, match="exists already"):
            run_job("map.bcf", quick, tmp_path / name)
        with pytest.raises(OutputExistsError, match="not a folder of results"):
            run_job("map.bcf", quick, tmp_path / name, overwrite=True)
    assert files_of(tmp_path) == {"out/notes.txt", "file"}


@pytest.mark.usefixtures("one_figure")
def test_an_empty_folder_is_filled(file, quick, tmp_path):
    (tmp_path / "out").mkdir()
    run_job(file, quick, tmp_path / "out")
    assert (tmp_path / "out" / "report.html").is_file()


@pytest.mark.usefixtures("one_figure")
def test_results_are_replaced_only_when_the_new_ones_are_complete(
    file, quick, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    run_job(file, quick, out)
    before = contents(out)
    with pytest.raises(OutputExistsError):
        run_job(file, quick, out)
    bad = replace(quick, lines=("Xx_Ka",))
    with pytest.raises(UnknownLineError):
        run_job(file, bad, out, overwrite=True)
    assert contents(out) == before
    fewer = replace(quick, lines=("O_Ka", "Si_Ka", "Fe_Ka"))
    run_job(file, fewer, out, overwrite=True)
    assert RunSettings.from_yaml(out / "settings.yaml").lines == fewer.lines
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.usefixtures("one_figure")
def test_a_source_inside_the_folder_to_replace_is_kept(file, quick, tmp_path):
    out = tmp_path / "out"
    run_job(file, quick, out)
    with pytest.raises(OutputExistsError, match="lies in the folder"):
        run_job(out / "map.zarr", quick, out, overwrite=True)
    assert store.open_map(out / "map.zarr").shape == (128, 128, 1024)


def test_sources_that_cannot_be_read_leave_nothing(quick, tmp_path):
    (tmp_path / "notes.txt").write_text("text")
    (tmp_path / "broken.hspy").write_bytes(b"not HDF5")
    for name, error in [
        ("missing.bcf", SourceNotFoundError),
        ("notes.txt", FileFormatError),
        ("broken.hspy", FileFormatError),
    ]:
        with pytest.raises(error, match=re.escape(name)):
            run_job(tmp_path / name, quick, tmp_path / "out")
    assert files_of(tmp_path) == {"notes.txt", "broken.hspy"}


def test_settings_that_cannot_work_leave_nothing(file, quick, tmp_path):
    with pytest.raises(UnknownLineError):
        run_job(file, replace(quick, lines=("Xx_Ka",)), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(file, quick, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match=r"out\.unfinished can't be made"):
        run_job(file, quick, tmp_path / "file" / "out")


# A real file


@pytest.mark.filterwarnings("ignore::sigma_scale.errors.SigmaScaleWarning")
def test_a_real_file_from_beginning_to_end(real_data, golden, tmp_path):
    result = run_job(real_data / "P45_the_default_job.bcf", RunSettings(), tmp_path / "out")
    expected = [str(line) for line in golden["p45_lines"]]
    assert sorted(result.settings.lines) == sorted(expected)
    np.testing.assert_array_equal(result.sum_spectrum, golden["p45_sum_spectrum"])
    assert result.spectra.sizes["phase"] >= 2
    assert result.proportions["share"].sum() == pytest.approx(1)
    assert {path.stem for path in (tmp_path / "out" / "figures").iterdir()} == FIGURES
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "P45_the_default_job.bcf" in page
    assert "100 × 75 pixels, 2,048 channels" in page
    assert page.count("data:image/png;base64,") == len(FIGURES)


def test_a_real_file_without_spectra_is_refused(real_data, quick, tmp_path):
    with pytest.raises((NoSpectraError, FileFormatError), match="Nope"):
        run_job(real_data / "Nope.bcf", quick, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


# The working folder


def test_a_working_folder_with_nothing_in_it_goes(tmp_path):
    folder = OutputFolder(tmp_path / "out")
    with folder.opened():
        folder.steps.mkdir()
    assert list(tmp_path.iterdir()) == []


def test_a_working_folder_with_something_in_it_or_of_others_stays(tmp_path):
    folder = OutputFolder(tmp_path / "out")
    folder.working.mkdir()
    with folder.opened():
        pass
    assert folder.working.is_dir()  # It was there before.
    folder.working.rmdir()
    with folder.opened():
        (folder.working / "notes.txt").touch()
    assert files_of(tmp_path) == {"out.unfinished/notes.txt"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lines": ("Xx_Ka", "O_Ka")}, "Xx_Ka"),
        ({"lines": ("O_Ka",)}, "at least two features"),
        ({"lines": ("O_Ka", "O_Ka")}, "only once"),
        ({"latent": {"metric": "far"}}, "metric must be one of"),
        ({"latent": {"engine": "tpu"}}, "engine must be one of"),
        ({"clustering_args": {"min_cluster_size": 1}}, "min_cluster_size must be at least 2"),
        ({"normalisation": ("sharpen",)}, "Unknown normalisation"),
    ],
)
def test_what_no_map_could_have_is_refused_before_one_is_opened(
    changes, message, tmp_path, monkeypatch
):
    monkeypatch.setattr(job, "read", None)
    with pytest.raises(SigmaScaleError, match=message):
        run_job("map.bcf", RunSettings(**changes), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
