"""Steps that are kept: written whole, found again, gone on with, and known by what they follow."""

from __future__ import annotations

import json
import pickle
import warnings

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sigma_scale.errors import SigmaScaleWarning, StoreError
from sigma_scale.workflow import step_store
from sigma_scale.workflow.kept_tables import dataset_of_table, table_of_dataset
from sigma_scale.workflow.step_store import StepStore


def maps(chunks=(40, 50)):
    values = np.arange(100 * 120 * 3, dtype=np.float32).reshape(100, 120, 3)
    values[:40, :50] = 0  # a chunk of nothing
    labels = values[:, :, 0].astype(np.int32)
    values[99, 119] = np.nan
    return xr.Dataset(
        {
            "features": (
                ("y", "x", "line"),
                da.from_array(values, chunks=(*chunks, 2)),
                {"units": "", "recipe": {"steps": ["zscore"]}},
            ),
            "labels": (("y", "x"), da.from_array(labels, chunks=chunks)),
            "spectrum": (("energy",), np.arange(4, dtype=np.uint64)),
        },
        coords={"line": ["O_Ka", "Fe_Ka", "Si_Ka"], "y": np.arange(100) * 0.5},
        attrs={"recipe": {"seed": 3}},
    )


def counted(made):
    calls = []

    def make():
        calls.append(1)
        return made

    return make, calls


def test_without_a_folder_nothing_is_kept():
    made = maps()
    steps = StepStore()
    assert not steps.on_disk
    assert steps.keep("features", lambda: made) is made
    assert steps.place("model") is None
    steps.clear()


def test_what_is_kept_is_what_was_made_and_lazy(tmp_path):
    kept = StepStore(tmp_path / "steps").keep("features", maps)
    xr.testing.assert_identical(kept.compute(), maps().compute())
    assert kept["features"].chunks == ((40, 40, 20), (50, 50, 20), (3,))
    assert kept["labels"].dtype == np.int32


def test_a_later_run_finds_it(tmp_path):
    make, calls = counted(maps())
    first = StepStore(tmp_path, origin="map").keep("features", make, recipe=[1])
    second = StepStore(tmp_path, origin="map").keep("features", make, recipe=[1])
    assert len(calls) == 1
    xr.testing.assert_identical(first, second)


@pytest.mark.parametrize("change", ["origin", "recipe", "before"])
def test_what_follows_from_something_else_is_made_anew(tmp_path, change):
    make, calls = counted(maps())

    def run(origin="map", recipe=(1, 2), before=0):
        steps = StepStore(tmp_path, origin=origin)
        steps.keep("intensities", maps, recipe=before)
        return steps.keep("features", make, recipe=recipe)

    run()
    run()
    assert len(calls) == 1
    run(**{change: "another"})
    assert len(calls) == 2


def test_finished_chunks_of_an_interrupted_step_stay(tmp_path, monkeypatch):
    write, written = step_store._write_block, []

    def fails(path, names, corner, parts):
        if len(written) == 4:
            raise OSError(28, "No space left on device")
        written.append(corner)
        write(path, names, corner, parts)

    import dask

    with dask.config.set(scheduler="synchronous"):
        monkeypatch.setattr(step_store, "_write_block", fails)
        with pytest.raises(StoreError, match=r"features.*No space left"):
            StepStore(tmp_path).keep("features", maps)
        before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("c/**/*")}
        before = {file: at for file, at in before.items() if file.is_file()}
        assert before
        again = []
        monkeypatch.setattr(
            step_store,
            "_write_block",
            lambda *arguments: (again.append(arguments[2]), write(*arguments)),
        )
        kept = StepStore(tmp_path).keep("features", maps)
    assert len(written) == 4
    assert len(again) == 5
    assert not set(written) & set(again)
    assert all(file.stat().st_mtime_ns == time for file, time in before.items())
    xr.testing.assert_identical(kept.compute(), maps().compute())


def test_an_interrupted_step_of_something_else_is_no_start(tmp_path, monkeypatch):
    def fails(*_):
        raise OSError("gone")

    with monkeypatch.context() as patched:
        patched.setattr(step_store, "_write_block", fails)
        with pytest.raises(StoreError, match="gone"):
            StepStore(tmp_path, origin="one").keep("features", maps)
    other = maps() + 1
    kept = StepStore(tmp_path, origin="other").keep("features", lambda: other)
    xr.testing.assert_equal(kept.compute(), other.compute())


def test_drafts_of_killed_workers_are_cleared_away(tmp_path):
    StepStore(tmp_path).keep("features", maps)
    draft = tmp_path / "features" / "labels" / "c" / "0" / "0.abc.partial"
    draft.write_bytes(b"half")
    file = tmp_path / "features" / "zarr.json"
    group = json.loads(file.read_text())
    group["attributes"]["sigma_scale_step"]["complete"] = False
    file.write_text(json.dumps(group))
    StepStore(tmp_path).keep("features", maps)
    assert not draft.exists()


def test_a_damaged_step_is_made_anew(tmp_path):
    StepStore(tmp_path).keep("features", maps)
    (tmp_path / "features" / "zarr.json").write_text("{")
    kept = StepStore(tmp_path).keep("features", maps)
    xr.testing.assert_identical(kept.compute(), maps().compute())


def test_warnings_are_given_again(tmp_path):
    def make():
        warnings.warn("3 pixels are odd.", SigmaScaleWarning, stacklevel=1)
        return maps()

    for _ in range(2):
        with pytest.warns(SigmaScaleWarning, match="3 pixels are odd"):
            StepStore(tmp_path).keep("features", make)


def test_a_model_is_kept_under_what_it_was_made_of(tmp_path):
    fits = []

    def run(recipe):
        def fit():
            fits.append(recipe)
            return np.arange(recipe)

        return StepStore(tmp_path).keep_model(
            "model",
            fit,
            lambda model, path: path.write_bytes(model.tobytes()),
            lambda path: np.frombuffer(path.read_bytes(), np.int64),
            recipe=recipe,
        )

    assert [len(run(number)) for number in (3, 4, 3, 4)] == [3, 4, 3, 4]
    assert fits == [3, 4]


def test_a_folder_that_can_t_be_written_is_an_error(tmp_path):
    (tmp_path / "steps").write_text("a file")
    with pytest.raises(StoreError, match="can't be kept"):
        StepStore(tmp_path / "steps").keep("features", maps)
    with pytest.raises(StoreError, match="can't be kept"):
        StepStore(tmp_path / "steps").keep_model(
            "model", lambda: 1, lambda model, path: path.write_text("1"), lambda path: 1
        )


def test_clearing_removes_the_folder(tmp_path):
    steps = StepStore(tmp_path / "steps")
    steps.keep("features", maps)
    steps.clear()
    assert not (tmp_path / "steps").exists()


def test_tasks_are_small(tmp_path):
    steps = StepStore(tmp_path)
    kept = steps.keep("features", maps)
    assert len(pickle.dumps(kept)) < 50_000


def test_tables_come_back_as_they_were(tmp_path):
    table = pd.DataFrame(
        {
            "phase": np.array([2, 0, 1], np.int64),
            "area_um2": [0.1, np.nan, 3.0],
            "at_border": [True, False, True],
        },
        index=pd.RangeIndex(1, 4, name="region"),
    )
    table.attrs = {"units": {"area_um2": "µm²"}, "recipe": {"connectivity": 2}}
    kept = StepStore(tmp_path).keep("regions", lambda: dataset_of_table(table))
    back = table_of_dataset(kept)
    pd.testing.assert_frame_equal(back, table, check_index_type=False)
    assert back.attrs == table.attrs
