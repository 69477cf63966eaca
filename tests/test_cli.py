"""The command: what it says, what it refuses, and how it ends."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from sigma_scale import cli, config, store
from sigma_scale.errors import SigmaScaleWarning
from sigma_scale.spectra import EnergyAxis, MapMetadata, SpectrumImage
from sigma_scale.synthetic import synthetic_map
from sigma_scale.workflow import RunSettings, job, outputs

QUICK = ["--latent", "n_landmarks=500", "--latent", "n_epochs=30"]


@pytest.fixture(autouse=True)
def quick_figures(monkeypatch):
    """Draw one empty figure: drawing all takes seconds and is tested elsewhere."""
    from matplotlib.figure import Figure

    from sigma_scale.plot import FigurePanel

    figures = {"phase_map": FigurePanel(Figure((1, 1)))}
    monkeypatch.setattr(outputs, "make_figures", lambda result: figures)


@pytest.fixture(autouse=True)
def own_options():
    """Options that a command sets end with it, as they do with its process."""
    with config.options(progress=False, memory_limit=None):
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="module")
def image():
    return synthetic_map((64, 64), counts_per_pixel=150, seed=3).image


@pytest.fixture(scope="module")
def map_store(home, image):
    store.write_map(image, home / "map.zarr")
    return home / "map.zarr"


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    """A function that runs the command in an empty folder: exit code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        try:
            cli.main([str(argument) for argument in arguments])
            code = 0
        except SystemExit as end:
            code = end.code
        written = capsys.readouterr()
        return code, written.out, written.err

    return run


def hspy(path, data, signal_type="EDS_SEM", **sample):
    """Write a file as HyperSpy would."""
    from rsciio.hspy import file_writer

    names = ["y", "x", "Energy"][-data.ndim :]
    axes = [
        {
            "_type": "UniformDataAxis", "name": name, "size": size, "scale": 0.01, "offset": 0.0,
            "units": "keV" if name == "Energy" else "µm", "navigate": name != "Energy",
            "is_binned": False,
        }
        for name, size in zip(names, data.shape, strict=True)
    ]  # fmt: skip
    metadata = {
        "General": {"title": ""}, "Signal": {"signal_type": signal_type}, "Sample": sample
    }  # fmt: skip
    content = {
        "data": data, "axes": axes, "metadata": metadata, "original_metadata": {},
        "attributes": {"_lazy": False, "ragged": False},
        "package_info": {"package": "hyperspy", "package_version": "2.3"},
        "tmp_parameters": {}, "learning_results": {}, "models": {},
    }  # fmt: skip
    file_writer(str(path), content, show_progressbar=False)
    return path


def refused(ended, *words):
    """Whether a command ended with one line that says what is wrong."""
    code, out, err = ended
    assert code == 2
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("Error: ")
    for word in words:
        assert word in lines[0]


# Bad input


BAD_SOURCES = {
    "missing.bcf": "There is no file missing.bcf",
    "Nope.bcf": "Nope.bcf is damaged or not a Bruker .bcf file",
    "notes.txt": "No reader knows the file notes.txt",
    "folder": "No reader knows the folder folder",
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
    (["--bin", "2"], ["--bin takes two whole numbers"]),
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
]


@pytest.mark.parametrize(("options", "words"), BAD_OPTIONS, ids=lambda v: " ".join(v)[:30])
def test_options_that_cannot_work(call, map_store, tmp_path, options, words):
    refused(call("run", map_store, "-o", "out", *options), *words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("lines: [O_Ka", ["settings.yaml can't be read"]),
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


def test_values_that_only_the_model_can_refuse_end_in_one_line_too(call, map_store, tmp_path):
    refused(call("run", map_store, "-o", "out", "--latent", "n_neighbors=1"), "at least 2")
    assert [path.name for path in tmp_path.iterdir()] == ["out.unfinished"]


@pytest.mark.parametrize("arguments", [["run"], ["ingest", "map.bcf"], ["fly"], ["--fast"]])
def test_a_wrong_command_line_gets_one_line_with_a_hint(call, arguments):
    refused(call(*arguments), "Try 'sigma-scale", "--help'")


def test_a_memory_limit_that_cannot_be_understood(call, map_store):
    refused(call("--memory-limit", "lots", "info", map_store), "memory_limit", "'lots'")


def test_a_memory_limit_that_is_too_low(call, map_store, tmp_path):
    refused(call("--memory-limit", "10kB", "run", map_store, "-o", "out"), "Use larger bins")
    assert not (tmp_path / "out").exists()


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
    refused(call("run", map_store, "-o", "out"), "out exists already")
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


# Commands


def test_a_run_says_what_it_found_and_where(call, map_store, tmp_path):
    code, out, err = call("run", map_store, "-o", "out", *QUICK)
    assert (code, err) == (0, "")
    assert out.splitlines()[0].split() == ["phase", "area", "elements"]
    assert out.splitlines()[-1] == "Report: out/report.html"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    refused(call("run", map_store, "-o", "out", *QUICK), "out exists already")
    code, _, _ = call("run", map_store, "-o", "out", "--overwrite", "--seed", "5", *QUICK)
    assert code == 0
    assert RunSettings.from_yaml(tmp_path / "out" / "settings.yaml").random_state == 5


def test_options_change_what_the_settings_file_says(call, map_store, tmp_path, monkeypatch):
    seen = []

    def remember(source, settings, output, *, overwrite, options):
        seen.append((source, settings, output, overwrite))
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "run_job", remember)
    stored = RunSettings(
        lines=("O_Ka",), bin=(4, 4), latent={"n_neighbors": 9}, random_state=3,
        clustering="GaussianMixture", clustering_args={"n_components": 5},
    )  # fmt: skip
    (tmp_path / "s.yaml").write_text(stored.to_yaml())
    file = ["--settings", "s.yaml"]
    call("run", map_store, *file)
    call("run", map_store, *file, "--lines", "Si_Ka, Fe_Ka", "--bin", "2x3", "--overwrite")
    call("run", map_store, *file, "--latent", "min_dist=0.3", "--cluster-arg", "tol=1e-2")
    call("run", map_store, *file, "--clustering", "HDBSCAN", "--bin", "auto", "-o", "elsewhere")
    call("run", map_store, *file, "--normalisation", "none", "--navigation", "--end-members", "2")
    call("run", map_store, *file, "--remove-below", "0.3", "--seed", "8")
    call("run", map_store)
    settings = [entry[1] for entry in seen]
    assert settings[0] == stored
    assert settings[1] == replace(stored, lines=("Si_Ka", "Fe_Ka"), bin=(2, 3))
    latent, arguments = {**stored.latent, "min_dist": 0.3}, {"n_components": 5, "tol": 0.01}
    assert settings[2] == replace(stored, latent=latent, clustering_args=arguments)
    assert settings[3] == replace(stored, clustering="HDBSCAN", clustering_args={}, bin="auto")
    assert settings[4] == replace(stored, normalisation=(), navigation=True, n_end_members=2)
    assert settings[5] == replace(stored, remove_below_kev=0.3, random_state=8)
    assert settings[6] == RunSettings()
    assert [entry[3] for entry in seen] == [False, True, False, False, False, False, False]
    assert [str(entry[2]) for entry in seen[2:4]] == ["map-phases", "elsewhere"]


def test_the_settings_of_a_run_make_it_again(call, map_store, tmp_path):
    call("run", map_store, "-o", "one", *QUICK, "--clustering", "GaussianMixture",
         "--cluster-arg", "n_components=4")  # fmt: skip
    code, _, err = call("run", map_store, "-o", "two", "--settings", "one/settings.yaml")
    assert (code, err) == (0, "")
    tables = [tmp_path / name / "tables" / "phases.csv" for name in ("one", "two")]
    assert tables[0].read_bytes() == tables[1].read_bytes()


def test_ingest_then_run_the_store(call, tmp_path, image):
    dense = np.asarray(image.to_xarray())
    file = hspy(tmp_path / "map.hspy", dense, xray_lines=list(image.metadata.lines))
    code, out, err = call("ingest", file, "map.zarr")
    assert (code, out, err) == (0, "map.zarr: 64 x 64 pixels, 1,024 channels\n", "")
    np.testing.assert_array_equal(store.open_map(tmp_path / "map.zarr").to_xarray(), dense)
    written = (tmp_path / "map.zarr" / "zarr.json").stat().st_mtime_ns
    assert call("ingest", file, "map.zarr")[:2] == (code, out)
    assert (tmp_path / "map.zarr" / "zarr.json").stat().st_mtime_ns == written
    assert call("ingest", file, "map.zarr", "--overwrite", "--compressor", "lz4")[0] == 0
    assert call("run", "map.zarr", *QUICK)[0] == 0
    assert call("run", file, "-o", "from_file", *QUICK)[0] == 0
    tables = [tmp_path / name / "tables" / "phases.csv" for name in ("map-phases", "from_file")]
    assert tables[0].read_bytes() == tables[1].read_bytes()


def test_info_on_a_store_and_on_a_file(call, map_store, image, tmp_path):
    code, out, err = call("info", map_store)
    assert (code, err) == (0, "")
    said = " ".join(out.split())
    counts = int(image.sum_spectrum().sum())
    for fact in (
        "title synthetic minerals", "map 64 x 64 pixels (x, y), 1,024 channels", f"{counts:,}",
        "beam energy 20 keV", "130 eV at Mn Ka", "pixel 1 x 1 µm (x, y)",
        "images navigation (64 x 64)", "stored counts", ", ".join(image.metadata.lines),
    ):  # fmt: skip
        assert fact in said
    file = hspy(tmp_path / "map.hspy", np.ones((3, 5, 40), np.uint16))
    code, out, err = call("info", file)
    assert (code, err) == (0, "")
    said = " ".join(out.split())
    for fact in ("title map", "5 x 3 pixels", "uint16", "600, 40 per pixel", "lines not named",
                 "beam energy not known", "map.hspy"):  # fmt: skip
        assert fact in said
    assert "stored counts" not in said


def test_info_on_a_real_file(call, real_data):
    code, out, err = call("info", real_data / "P45_the_default_job.bcf")
    assert (code, err) == (0, "")
    assert "100 x 75 pixels (x, y), 2,048 channels" in out


def test_doctor_names_versions_engines_and_memory(call):
    code, out, err = call("doctor")
    assert (code, err) == (0, "")
    names = [line.split()[0] for line in out.splitlines()]
    assert {"Python", "numpy", "umap-learn", "hdbscan", "engine", "processors"} <= set(names)
    assert np.__version__ in out
    assert ".bcf, " in out
    assert "engine gpu" in out


def test_demo_says_how_well_it_agrees(call, tmp_path):
    code, out, _ = call("demo", "--side", "64", *QUICK)
    assert code == 0
    assert "Agreement with the known phases (adjusted Rand index): 0." in out
    assert (tmp_path / "sigma-scale-demo" / "report.html").is_file()


def test_help_lists_the_commands(call):
    for arguments in (["--help"], []):
        code, out, err = call(*arguments)
        assert (code, err) == (0, "")
        for command in ("demo", "doctor", "info", "ingest", "run"):
            assert f"\n  {command} " in out
    for command in ("demo", "doctor", "info", "ingest", "run"):
        assert call(command, "--help")[0] == 0


def test_version(call):
    import sigma_scale

    assert call("--version")[1].split()[-1] == sigma_scale.__version__


# How it ends


def test_an_interrupted_command_says_how_to_go_on(call, map_store, tmp_path, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(job, "map_phases", interrupt)
        code, _, err = call("run", map_store, "-o", "out")
    assert code == 130
    assert err.strip() == "Interrupted. Run the same command again to go on."
    assert [path.name for path in tmp_path.iterdir()] == ["out.unfinished"]
    assert call("run", map_store, "-o", "out", *QUICK)[0] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_our_warnings_are_notes_and_those_of_libraries_are_not_shown(call, map_store, monkeypatch):
    import warnings

    from sigma_scale.workflow import describe

    def warn(source, **options):
        warnings.warn("a library is unhappy", RuntimeWarning, stacklevel=1)
        warnings.warn("a column is left out", SigmaScaleWarning, stacklevel=1)
        return {"title": "granite"}

    monkeypatch.setattr(describe, "describe_map", warn)
    assert call("info", map_store) == (0, "title  granite\n", "Note: a column is left out\n")


def test_memory_errors_without_a_message_still_say_something(call, map_store, monkeypatch):
    def fail(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr(job, "run_job", fail)
    refused(call("run", map_store), "MemoryError")


def test_a_fault_of_the_program_is_not_hidden(call, map_store, monkeypatch):
    def fail(*arguments, **options):
        raise ZeroDivisionError

    monkeypatch.setattr(job, "run_job", fail)
    with pytest.raises(ZeroDivisionError):
        call("run", map_store)


def test_a_process_of_its_own(map_store, tmp_path):
    """As users run it: the remarks, an error's exit code, and no traceback."""
    command = [sys.executable, "-m", "sigma_scale"]
    quiet = SpectrumImage.from_array(
        np.zeros((30, 30, 300), np.uint8), EnergyAxis(300, 0.01), metadata=MapMetadata(title="dark")
    )
    store.write_map(quiet, tmp_path / "dark.zarr")
    done = subprocess.run(  # noqa: S603 - our own command
        [*command, "run", "dark.zarr"],
        capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Error: The map 'dark' holds no counts.\n"
    assert not (tmp_path / "dark-phases").exists()
