"""Running, loading and the memory contract."""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import dask
import dask.array as da
import numpy as np
import psutil
import pytest
import xarray as xr

from sigma_scale import compute, config
from sigma_scale.compute import check_memory, gpu_cluster, memory_limit, on_cluster, run
from sigma_scale.engines import engine_states
from sigma_scale.errors import EngineUnavailableError, MemoryLimitError, ParameterError
from sigma_scale.features import feature_pass
from sigma_scale.progress import progress_bar
from sigma_scale.spectra import ArraySource, EnergyAxis, SpectrumImage
from sigma_scale.store import verify_map, write_map


def small_image():
    counts = np.random.default_rng(0).poisson(0.3, (300, 70, 40)).astype(np.uint8)
    return SpectrumImage(ArraySource(counts, (64, 50)), EnergyAxis(40, 0.05))


@pytest.fixture
def mixed():
    """Dataset of lazy and eager variables of several shapes and types, and a lazy coordinate."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 9, (20, 30))
    return xr.Dataset(
        {
            "lazy": (("y", "x"), da.from_array(values, chunks=(7, 11)), {"units": "counts"}),
            "eager": (("y", "x"), values * 2, {"n": 1}),
            "narrow": (("x",), da.arange(30, chunks=8, dtype=np.uint8)),
            "number": ((), da.asarray(5.5)),
            "words": (("y",), da.from_array(np.array(["Fe_Ka"] * 20), chunks=6)),
        },
        coords={
            "x": ("x", np.arange(30) * 0.5, {"units": "µm"}),
            "depth": (("y", "x"), da.from_array(values * 0.1, chunks=(5, 30))),
        },
        attrs={"title": "mixed"},
    )


def test_run_raises_what_a_task_raised():
    def fail(block):
        raise ZeroDivisionError("in a task")

    broken = da.zeros((4, 4), chunks=2).map_blocks(fail, dtype=float, meta=np.empty((0, 0)))
    with pytest.raises(ZeroDivisionError, match="in a task"):
        run(broken, description="")


def test_run_computes_all_it_is_given(mixed):
    array = da.ones((5, 5), chunks=2)
    results = run(mixed, mixed["lazy"], array, 7, description="Running")
    assert isinstance(results, tuple)
    assert results[0].identical(mixed.compute())
    assert results[1].identical(mixed["lazy"].compute())
    np.testing.assert_array_equal(results[2], np.ones((5, 5)))
    assert results[3] == 7
    assert run(description="") == ()


def test_run_shares_work_that_collections_have_in_common():
    calls = []

    def count(block):
        calls.append(block.shape)
        return block + 1

    base = da.zeros((4, 4), chunks=2).map_blocks(count, dtype=float, meta=np.empty((0, 0)))
    first, second = run(base + 1, base.sum(), description="")
    assert calls == [(2, 2)] * 4
    assert (first == 2).all()
    assert second == 16


@pytest.mark.parametrize("chosen", ["1MB", "1 MB", 1_000_000, 1e6])
def test_work_that_does_not_fit_is_refused_with_a_remedy(chosen):
    with config.options(memory_limit=chosen):
        check_memory(1_000_000, what="The map", remedy="Bin it.")
        with pytest.raises(MemoryLimitError, match=r"The map would take .* limit is .*Bin it\."):
            check_memory(1_000_001, what="The map", remedy="Bin it.")


def test_the_error_is_a_memory_error_and_names_both_sizes():
    with (
        config.options(memory_limit="1MiB"),
        pytest.raises(MemoryError, match=r"3\.00 MiB.*1\.00 MiB"),
    ):
        check_memory(3 * 2**20, what="It", remedy="Don't.")


def test_without_a_limit_most_of_what_is_free_may_be_taken():
    with config.options(memory_limit=None):
        limit = memory_limit()
        with pytest.raises(MemoryLimitError):
            check_memory(psutil.virtual_memory().total + 1, what="It", remedy="Don't.")
    assert 0 < limit < psutil.virtual_memory().total


@pytest.mark.parametrize(
    "bad", ["much", "8 bananas", [], {"GB": 8}, "-1GB", -5, 0, float("nan"), float("inf")]
)
def test_a_limit_that_makes_no_sense_is_named(bad):
    with config.options(memory_limit=bad), pytest.raises(ParameterError, match="memory_limit"):
        check_memory(1, what="It", remedy="Don't.")


@pytest.mark.parametrize("bare", ["8", " 16 ", "999999", "1e5"])
def test_a_few_bytes_without_a_unit_are_a_forgotten_unit(bare):
    with (
        config.options(memory_limit=bare),
        pytest.raises(ParameterError, match=f"Give a unit, such as '{bare.strip()}GB'"),
    ):
        check_memory(1, what="It", remedy="Don't.")


@pytest.mark.parametrize(
    ("size", "expected"), [("8 B", 8), ("8kB", 8000), ("1000000", 10**6), (8, 8)]
)
def test_units_and_numbers_are_taken_at_their_word(size, expected):
    with config.options(memory_limit=size):
        assert memory_limit() == expected


@pytest.mark.parametrize("shown", [True, False])
def test_bars_show_where_the_option_is_set(shown, capsys, mixed):
    with config.options(progress=shown):
        run(mixed, description="Adding up")
        feature_pass(small_image(), ["O_Ka"], lazy=False)
        with progress_bar("Reading counts", total=10) as bar:
            bar.update(10)
    output = capsys.readouterr()
    assert output.out == ""
    for words in ("Adding up", "Feature pass", "Reading counts"):
        assert (words in output.err) == shown


def test_without_a_client_there_is_no_cluster():
    assert not on_cluster()


@pytest.fixture
def client():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def test_gpus_of_a_machine_are_a_cluster(gpu_twin, monkeypatch):
    distributed = pytest.importorskip("distributed")

    class OfProcessors(distributed.LocalCluster):
        """Stands in for dask_cuda.LocalCUDACluster."""

        def __init__(self, n_workers):
            super().__init__(
                n_workers=n_workers or gpu_twin.devices,
                threads_per_worker=1,
                processes=False,
                dashboard_address=None,
            )

    module = ModuleType("dask_cuda")
    module.__spec__ = ModuleSpec("dask_cuda", None)
    module.LocalCUDACluster = OfProcessors
    monkeypatch.setitem(sys.modules, "dask_cuda", module)
    gpu_twin.devices = 2
    image = small_image()
    expected = feature_pass(image, ["O_Ka"], lazy=False)
    with gpu_cluster() as client:
        assert on_cluster()
        assert len(client.nthreads()) == 2
        assert feature_pass(image, ["O_Ka"], lazy=False, engine="gpu").identical(expected)
    with gpu_cluster(1) as client:
        assert len(client.nthreads()) == 1
    assert not on_cluster()
    with pytest.raises(ParameterError, match="n_gpus must be at least 1"), gpu_cluster(0):
        pass


def test_without_gpus_there_is_no_cluster_of_them():
    if engine_states()["gpu"].startswith("usable"):
        pytest.skip("there is a GPU")
    with pytest.raises(EngineUnavailableError, match="no cluster of GPUs"), gpu_cluster():
        pass


def test_a_cluster_gives_identical_results(client, mixed):
    image = small_image()
    lazy = feature_pass(image, ["O_Ka", "Si_Ka"])
    with client.as_current():
        assert on_cluster()
        loaded = feature_pass(image, ["O_Ka", "Si_Ka"], lazy=False)
        total, spectrum = run(lazy["total"], lazy["sum_spectrum"], description="")
        (others,) = run(mixed, description="")
    alone = lazy.compute(scheduler="synchronous")
    assert loaded.identical(alone)
    assert total.identical(alone["total"])
    assert spectrum.identical(alone["sum_spectrum"])
    assert others.identical(mixed.compute(scheduler="synchronous"))
    np.testing.assert_array_equal(spectrum, image.source.data.sum(axis=(0, 1)))


def test_a_cluster_writes_and_verifies_stores(client, tmp_path):
    image = small_image()
    with client.as_current():
        stored = write_map(image, tmp_path / "cluster.zarr")
        assert verify_map(stored, image) == 300 * 70
    alone = write_map(image, tmp_path / "alone.zarr")
    for name in ("total", "sum_spectrum", "counts"):
        here, there = (xr.open_zarr(tmp_path / f"{n}.zarr")[name] for n in ("alone", "cluster"))
        np.testing.assert_array_equal(here, there)
    np.testing.assert_array_equal(alone.to_xarray(), image.source.data)


def test_stream_gives_all_results_with_few_under_way():
    taken, finished = [], []

    def items():
        for number in range(40):
            taken.append(number)
            yield number

    with dask.config.set(num_workers=3):
        for result in compute.stream(lambda number: number**2, items()):
            finished.append(result)
            assert len(taken) - len(finished) <= 6
    assert sorted(finished) == [n**2 for n in range(40)]


def test_stream_stops_at_an_error():
    started = []

    def work(number):
        started.append(number)
        if number == 5:
            raise ValueError("five")
        return number

    with dask.config.set(num_workers=2), pytest.raises(ValueError, match="five"):
        list(compute.stream(work, range(1000)))
    assert len(started) < 20


def test_stream_runs_in_order_where_dask_is_synchronous():
    with dask.config.set(scheduler="synchronous"):
        assert list(compute.stream(str, range(5))) == list("01234")
