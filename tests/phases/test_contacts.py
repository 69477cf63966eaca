"""Borders between phases against plain NumPy."""

from unittest import mock

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from sigma_scale import config
from sigma_scale.errors import EmptyMapError, MemoryLimitError, ParameterError
from sigma_scale.phases import label_bands
from sigma_scale.phases.contacts import phase_contacts


def brute_force(labels, phases):
    """Edges between rows and between columns, for each pair of labels."""
    between_rows, between_columns = (
        np.array(
            [
                [((a == p) & (b == q)).sum() + ((a == q) & (b == p)).sum() for q in phases]
                for p in phases
            ]
        )
        * (1 - np.eye(len(phases), dtype=int))
        for a, b in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1]))
    )
    return between_rows, between_columns


@settings(max_examples=60, deadline=None)
@given(
    npst.arrays(
        st.sampled_from([np.int8, np.int32, np.int64]),
        npst.array_shapes(min_dims=2, max_dims=2, max_side=12),
        elements=st.sampled_from([-2, -1, 0, 3, 100]),
    ).filter(lambda labels: (labels >= 0).any()),
    st.booleans(),
    st.integers(1, 60),
    st.tuples(*[st.integers(1, 9)] * 2),
)
def test_edges_equal_brute_force(labels, noise, band, chunks):
    clean = np.maximum(labels, -1).astype(int)
    phases = [p for p in (0, 3, 100) if (clean == p).any()]
    phases += [-1] if noise and (clean < 0).any() else []
    between_rows, between_columns = brute_force(clean, phases)
    with mock.patch.object(label_bands, "_BAND_PIXELS", band):
        found = phase_contacts(
            da.from_array(labels, chunks=chunks), noise=noise, pixel_size=(2.0, 0.5)
        )
    assert found["phase"].to_numpy().tolist() == phases
    assert found["neighbour"].to_numpy().tolist() == phases
    np.testing.assert_array_equal(found["edges"], between_rows + between_columns)
    # An edge between two rows is as long as a pixel is wide.
    np.testing.assert_allclose(found["length"], between_rows * 0.5 + between_columns * 2.0)
    assert found["length"].attrs["units"] == "µm"
    framed = np.pad(clean, 1, constant_values=-5)
    outline = [sum(edges[0, 1] for edges in brute_force(framed, [p, -5])) for p in phases]
    np.testing.assert_array_equal(found["map_edge"], outline)


def test_all_edges_of_a_phase_are_counted_once():
    labels = np.random.default_rng(0).integers(0, 4, (30, 40))
    found = phase_contacts(labels)
    inner = (labels[1:] != labels[:-1]).sum() + (labels[:, 1:] != labels[:, :-1]).sum()
    assert int(found["edges"].sum()) == 2 * inner
    assert int(found["map_edge"].sum()) == 2 * (30 + 40)
    np.testing.assert_allclose(found["share"].sum("neighbour"), 1)
    assert found["length"].attrs["units"] == "pixel"


def test_a_scale_from_the_coordinates():
    labels = xr.DataArray(
        np.array([[0, 1], [0, 1], [2, 2]]),
        dims=("y", "x"),
        coords={
            "y": ("y", [0.0, 0.3, 0.6], {"units": "µm"}),
            "x": ("x", [0.0, 0.2], {"units": "µm"}),
        },
    )
    found = phase_contacts(labels)
    np.testing.assert_allclose(found["length"], [[0, 0.6, 0.2], [0.6, 0, 0.2], [0.2, 0.2, 0]])
    np.testing.assert_allclose(found["share"][0], [0, 0.75, 0.25])
    assert found["length"].attrs["units"] == "µm"


def test_a_phase_that_touches_none_has_no_shares():
    found = phase_contacts(np.array([[0, -1, 1]]))
    assert not found["edges"].any()
    assert found["share"].isnull().all()
    assert phase_contacts(np.array([[0, -1, 1]]), noise=True)["edges"].sel(phase=-1).sum() == 2


def test_bad_input_is_named():
    with pytest.raises(ParameterError, match="float64"):
        phase_contacts(np.zeros((3, 3)))
    with pytest.raises(EmptyMapError, match="negative"):
        phase_contacts(np.full((3, 3), -1), noise=True)
    with pytest.raises(ParameterError, match="pixel_size"):
        phase_contacts(np.zeros((3, 3), int), pixel_size=-1)
    regions = np.arange(10_000).reshape(100, 100)
    with config.options(memory_limit="1MB"), pytest.raises(MemoryLimitError, match="phases"):
        phase_contacts(regions)
