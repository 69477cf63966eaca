"""What the command refuses, in one line that says why."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from commands import QUICK, hspy, refused

from sigma_scale import store
from sigma_scale.engines import engine_states
from sigma_scale.synthetic import synthetic_map
from sigma_scale.workflow import job

BAD_SOURCES = {
    "missing.bcf": "There is no file missing.bcf",
    "Nope.bcf": "Nope.bcf is damaged or not a Bruker .bcf file",
    "notes.txt": "No reader knows the file notes.txt",
    "folder": "Put tiles together with: sigma-scale mosaic folder area.zarr",
    "broken.hspy": "broken.hspy is damaged or not a HyperSpy .hspy file",
    "eels.hspy": "eels.hspy holds no EDS map",
    "other.zarr": "other.zarr has no variable with an energy dimension",
}


@pytest.fixture
def bad_sources(tmp_path):
    import zarr

    (tmp_path / "Nope.bcf").write_bytes(b"I am not a real file")
    (tmp_path / "notes.txt").write_text("text")
    (tmp_path / "folder").mkdir()
    (tmp_path / "broken.hspy").write_bytes(b"not HDF5 at all")
    hspy(tmp_path / "eels.hspy", np.ones((4, 4, 50), np.uint8), "EELS")
    zarr.open_group(tmp_path / "other.zarr", mode="w")
    return {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("command", ["run", "info", "ingest"])
@pytest.mark.parametrize("name", BAD_SOURCES)
def test_sources_that_cannot_be_read(call, bad_sources, tmp_path, command, name):
    target = ["out.zarr"] if command == "ingest" else []
    refused(call(command, name, *target), BAD_SOURCES[name])
    assert {path.name for path in tmp_path.iterdir()} == bad_sources


def test_a_real_file_that_is_none(call, real_data, tmp_path):
    refused(call("run", real_data / "Nope.bcf"), "Nope.bcf is damaged or not a Bruker .bcf file")
    assert list(tmp_path.iterdir()) == []


BAD_OPTIONS = [
    (["--lines", "O_Ka,Xx_Ka"], ["Xx"]),
    (["--lines", "quartz"], ["quartz"]),
    (["--lines", "O_Ka,Pb_Ka"], ["window of Pb_Ka", "keV"]),
    (["--lines", ""], ["no X-ray lines"]),
    (["--bin", "200,2"], ["200 x 2", "don't fit a map of 64 x 64"]),
    (["--bin", "0,2"], ["Binning factors must be at least 1"]),
    (["--bin", "two"], ["--bin takes two whole numbers", "'two'"]),
    (["--bin", "2.5"], ["--bin takes two whole numbers"]),
    (["--bin", "2,2,2"], ["--bin takes two whole numbers"]),
    (["--normalisation", "sharpen"], ["sharpen", "zscore"]),
    (["--remove-below", "70"], ["70"]),
    (["--remove-below", "nan"], ["nan"]),
    (["--remove-below", "low"], ["--remove-below", "'low' is not a valid float"]),
    (["--latent", "neighbours=3"], ["UMAP has no parameter neighbours", "n_neighbors"]),
    (["--latent", "n_neighbors"], ["NAME=VALUE", "'n_neighbors'"]),
    (["--latent", "n_neighbors=many"], ["n_neighbors of UMAP must be a whole number", "'many'"]),
    (["--latent", "n_neighbors=[3"], ["'n_neighbors=[3'", "understood"]),
    (["--clustering", "Kmeans"], ["'Kmeans'", "GaussianMixture, HDBSCAN"]),
    (["--cluster-arg", "size=3"], ["HDBSCAN has no parameter size", "min_cluster_size"]),
    (["--end-members", "0"], ["n_end_members"]),
    (["--seed", "-1"], ["random_state"]),
    (["--settings", "none.yaml"], ["There is no settings file none.yaml"]),
    (["--colour", "red"], ["--colour", "Try 'sigma-scale run --help'"]),
    (["--line", "O_Ka"], ["No such option: --line. Did you mean --lines? Try"]),
    (["--lines", "O_Ka"], ["UMAP needs at least two features", "more X-ray lines"]),
    (["--latent", "n_neighbors=1"], ["n_neighbors must be at least 2"]),
    (["--cluster-arg", "min_samples=0"], ["min_samples must be at least 1"]),
]


@pytest.mark.parametrize(("options", "words"), BAD_OPTIONS, ids=lambda v: " ".join(v)[:30])
def test_options_that_cannot_work(call, map_store, tmp_path, options, words):
    refused(call("run", map_store, "-o", "out", *options), *words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("lines: [O_Ka", ["settings.yaml isn't valid YAML: line 1, column 13: expected ','"]),
        ("bin: auto\nlines: {O_Ka: [}", ["settings.yaml isn't valid YAML: line 2, column 16: "]),
        ("bin: \x07", ["settings.yaml isn't valid YAML: character 6 of the text"]),
        ("[O_Ka]", ["settings.yaml must map names to values"]),
        ("colour: red", ["Unknown settings: colour", "There are: lines"]),
        ("latent: fast", ["latent must map names to values"]),
        ("latent:", ["latent must map names to values"]),
    ],
)
def test_settings_files_that_cannot_work(call, map_store, tmp_path, content, words):
    (tmp_path / "settings.yaml").write_text(content)
    chosen = ["--settings", "settings.yaml", "--latent", "n_epochs=3"]
    refused(call("run", map_store, "-o", "out", *chosen), *words)
    assert [path.name for path in tmp_path.iterdir()] == ["settings.yaml"]


def test_a_settings_file_that_is_no_text(call, map_store, tmp_path):
    (tmp_path / "settings.yaml").write_bytes(b"\xff\xfe\x00")
    refused(call("run", map_store, "--settings", "settings.yaml"), "settings.yaml can't be read")


def test_values_that_only_the_model_can_refuse_end_in_one_line_too(call, map_store, tmp_path):
    refused(call("run", map_store, "-o", "out", "--latent", "metric=foo"), "metric must be one of")
    refused(call("run", map_store, "-o", "out", "--latent", "init=foo"), "init")
    assert [path.name for path in tmp_path.iterdir()] == ["out.unfinished"]  # Lines are measured.


@pytest.mark.parametrize("options", [["--lines", "O_Ka,Xx_Ka"], ["--lines", "O_Ka"]])
def test_settings_are_refused_before_a_map_is_opened(call, monkeypatch, options):
    monkeypatch.setattr(job, "read", None)
    refused(call("run", "there_is_none.bcf", *options))
    refused(call("demo", *options))


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        (["run", "a.zarr", "--memory-limit", "8GB"], "--memory-limit 8GB run ..."),
        (["info", "a.zarr", "--memory-limit=8GB"], "--memory-limit 8GB info ..."),
        (["run", "a.zarr", "--engine", "gpu"], "--engine gpu run ..."),
        (["demo", "--scheduler", "slurm:2"], "--scheduler slurm:2 demo ..."),
        (["ingest", "a.bcf", "b.zarr", "--workers"], "--workers N ingest ..."),
        (["run", "a.zarr", "--quiet"], "--quiet run ..."),
    ],
)
def test_options_of_the_main_command_after_the_command(call, arguments, right):
    refused(call(*arguments), "give it before the command", f"as in: sigma-scale {right}")


def test_the_version_is_no_option_of_a_command(call):
    refused(call("run", "a.zarr", "--version"), "No such option: --version. Try")


@pytest.mark.parametrize("arguments", [["run"], ["ingest", "map.bcf"], ["fly"], ["--fast"]])
def test_a_wrong_command_line_gets_one_line_with_a_hint(call, arguments):
    refused(call(*arguments), "Try 'sigma-scale", "--help'")


def test_a_memory_limit_that_cannot_be_understood(call, map_store):
    refused(call("--memory-limit", "lots", "info", map_store), "memory_limit", "'lots'")
    refused(call("--memory-limit", "8", "info", map_store), "Give a unit, such as '8GB'")


def test_a_memory_limit_that_is_too_low(call, map_store, tmp_path):
    ended = call("--memory-limit", "10kB", "run", map_store, "-o", "out")
    refused(ended, "landmarks", "raise memory_limit")
    assert not (tmp_path / "out").exists()


def test_an_engine_that_is_not_there_is_never_replaced(call, map_store, tmp_path):
    if engine_states()["gpu"].startswith("usable"):
        pytest.skip("there is a GPU")
    refused(call("--engine", "gpu", "run", map_store, "-o", "out"), "UMAP can't run on a GPU here")
    own = ["--latent", "engine=cpu", "--clustering", "GaussianMixture"]
    ended = call("--engine", "gpu", "run", map_store, "-o", "out", *own)
    refused(ended, "GaussianMixture can't run on a GPU here")
    own = ["--cluster-arg", "engine=cuml"]
    ended = call("--engine", "auto", "run", map_store, "-o", "out", *own)
    refused(ended, "HDBSCAN's engine 'cuml'")
    assert list(tmp_path.iterdir()) == []
    refused(call("--engine", "tpu", "run", map_store, "-o", "out"), "'tpu' is not one of")


def test_an_empty_map(call, tmp_path):
    counts = np.zeros((40, 40, 300), np.uint8)
    file = hspy(tmp_path / "empty.hspy", counts, xray_lines=["Si_Ka", "O_Ka"])
    refused(call("run", file, "-o", "out"), "'empty' holds no counts")
    assert {path.name for path in tmp_path.iterdir()} == {"empty.hspy", "out.unfinished"}


def test_a_map_of_one_row_that_is_too_short(call, tmp_path):
    file = hspy(tmp_path / "row.hspy", np.ones((1, 12, 300), np.uint8), xray_lines=["O_Ka"])
    refused(call("run", file, "--lines", "O_Ka,Si_Ka"), "12 pixels, too few for n_neighbors=15")


def test_a_map_of_one_row_that_is_long_enough(call, tmp_path, home):
    made = synthetic_map((1, 400), counts_per_pixel=200, grain_size=20, seed=2)
    store.write_map(made.image, tmp_path / "row.zarr")
    code, _, err = call("run", "row.zarr", *QUICK)
    assert (code, err) == (0, "")
    assert (tmp_path / "row-phases" / "report.html").is_file()
    refused(call("run", "row.zarr", "-o", "out", "--bin", "2,2"), "don't fit a map of 400 x 1")


def test_a_spectrum_that_suggests_no_lines(call, tmp_path):
    counts = np.ones((30, 30, 300), np.uint8)
    refused(call("run", hspy(tmp_path / "flat.hspy", counts), "-o", "out"), "--lines O_Ka,Si_Ka")
    assert not (tmp_path / "out").exists()


def test_an_output_that_exists(call, map_store, tmp_path, image):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    refused(call("run", map_store, "-o", "out"), "out exists already", "-o FOLDER", "--overwrite")
    refused(call("run", map_store, "-o", "out", "--overwrite"), "out is not a folder of results")
    refused(call("demo", "-o", "out", "--side", "64"), "out exists already")
    refused(call("ingest", map_store, "out"), "out exists and is not a store")
    refused(call("ingest", map_store, "out", "--overwrite"), "out exists and is not a store")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "thesis.tex"]


def test_an_unfinished_store(call, tmp_path, image):
    class Interrupted:
        shape, dtype, chunk_shape = image.source.shape, image.source.dtype, image.source.chunk_shape

        def read_block(self, row, column, scratch=None):
            raise KeyboardInterrupt

        def __dask_tokenize__(self):
            return "interrupted"

    with pytest.raises(KeyboardInterrupt):
        store.write_map(replace(image, source=Interrupted()), tmp_path / "map.zarr")
    for command in ("info", "run"):
        refused(call(command, "map.zarr"), "map.zarr is unfinished", "ingest again")


def test_a_damaged_store(call, tmp_path, image):
    store.write_map(image, tmp_path / "map.zarr")
    chunk = next((tmp_path / "map.zarr" / "counts" / "c").rglob("0/0/0"))
    chunk.write_bytes(chunk.read_bytes()[:-3])
    refused(call("run", "map.zarr", "-o", "out"), "chunk (0, 0)")
    assert not (tmp_path / "out").exists()
