"""OME-Zarr, read back by zarr and compared with what the specification asks for."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr
from exported_maps import label_map, line_maps

from sigma_scale.errors import OutputExistsError, ParameterError, ShapeMismatchError
from sigma_scale.export import export_ome_zarr
from sigma_scale.export.pyramid import halved


def check_multiscale(group, *, names, unit):
    """What OME-NGFF 0.5 requires of `multiscales` and its arrays; returns the arrays."""
    ome = group.attrs["ome"]
    assert ome["version"] == "0.5"
    (multiscale,) = ome["multiscales"]
    axes = multiscale["axes"]
    assert [axis["name"] for axis in axes] == names
    types = [axis["type"] for axis in axes]
    assert types == (["channel"] if len(names) == 3 else []) + ["space", "space"]
    assert [axis.get("unit") for axis in axes if axis["type"] == "space"] == [unit, unit]
    arrays = []
    for dataset in multiscale["datasets"]:
        array = group[dataset["path"]]
        assert array.metadata.zarr_format == 3
        assert list(array.metadata.dimension_names) == names
        assert array.ndim == len(names)
        scale, translation = dataset["coordinateTransformations"]
        assert scale["type"] == "scale"
        assert translation["type"] == "translation"
        assert len(scale["scale"]) == len(translation["translation"]) == len(names)
        arrays.append((array, scale["scale"], translation["translation"]))
    sizes = [array.shape for array, _, _ in arrays]
    assert sizes == sorted(sizes, reverse=True)
    return arrays


def test_maps_with_labels_follow_the_specification(tmp_path):
    maps, labels = line_maps((700, 600), origin=3.0), label_map((700, 600), origin=3.0)
    path = export_ome_zarr(
        tmp_path / "m.ome.zarr",
        maps.chunk(y=300),
        labels,
        colours={-1: "white", 0: "#ff0000", 1: "blue"},
        names={0: "quartz", 2: "mica"},
    )
    root = zarr.open_group(str(path), mode="r")
    (first, scale, shift), (second, scale2, shift2) = check_multiscale(
        root, names=["c", "y", "x"], unit="micrometer"
    )
    whole = maps.values.transpose(2, 0, 1)
    np.testing.assert_array_equal(first[:], whole)
    np.testing.assert_array_equal(second[:], [halved(p, labels=False) for p in whole])
    assert (scale, shift) == ([1, 0.5, 0.25], [0, 3, 3])
    assert (scale2, shift2) == ([1, 1.0, 0.5], [0, 3.25, 3.125])
    channels = root.attrs["ome"]["omero"]["channels"]
    assert [channel["label"] for channel in channels] == ["Fe_Ka", "O_Ka", "Si_Ka"]
    for channel in channels:
        assert channel["window"].keys() == {"min", "max", "start", "end"}
        assert len(channel["color"]) == 6
    assert root["labels"].attrs["ome"] == {"version": "0.5", "labels": ["labels"]}
    own = root["labels/labels"]
    (large, scale, _), (small, _, _) = check_multiscale(own, names=["y", "x"], unit="micrometer")
    np.testing.assert_array_equal(large[:], labels + 1)
    np.testing.assert_array_equal(small[:], halved(labels.values + 1, labels=True))
    assert scale == [0.5, 0.25]
    described = own.attrs["ome"]["image-label"]
    assert described["source"] == {"image": "../../"}
    assert {c["label-value"]: c["rgba"] for c in described["colors"]} == {
        0: [255, 255, 255, 255],
        1: [255, 0, 0, 255],
        2: [0, 0, 255, 255],
        3: [128, 128, 128, 255],
    }
    assert described["properties"] == [
        {"label-value": 0, "phase": -1},
        {"label-value": 1, "phase": 0, "name": "quartz"},
        {"label-value": 2, "phase": 1},
        {"label-value": 3, "phase": 2, "name": "mica"},
    ]


def test_labels_alone_are_their_own_image(tmp_path):
    labels = label_map((40, 30), units="pixel", pixel=(1, 1))
    path = export_ome_zarr(tmp_path / "l.ome.zarr", labels=labels.rename("my/labels"))
    root = zarr.open_group(str(path), mode="r")
    ((image, scale, shift),) = check_multiscale(root, names=["y", "x"], unit=None)
    assert image.path == "labels/my-labels/0"
    assert (scale, shift) == ([1, 1], [0, 0])
    ((own, _, _),) = check_multiscale(root["labels/my-labels"], names=["y", "x"], unit=None)
    np.testing.assert_array_equal(own[:], labels + 1)
    assert own.dtype == np.uint8
    assert "colors" not in root["labels/my-labels"].attrs["ome"]["image-label"]


@pytest.mark.parametrize("shape", [(1, 1), (1, 600), (513, 2)])
def test_single_maps_of_any_size_with_nothing_in_them(tmp_path, shape):
    maps = line_maps(shape, lines=("O_Ka",))[:, :, 0] * np.nan
    root = zarr.open_group(str(export_ome_zarr(tmp_path / "m.ome.zarr", maps)), mode="r")
    unit = "micrometer" if max(shape) > 1 else None
    levels = check_multiscale(root, names=["y", "x"], unit=unit)
    assert all(np.isnan(level[:]).all() for level, _, _ in levels)
    json.dumps(root.attrs.asdict(), allow_nan=False)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({}, ParameterError, "nothing to write"),
        ({"maps": line_maps((4, 5)), "labels": label_map((5, 4))}, ShapeMismatchError, "same bins"),
        ({"labels": label_map((5, 4)), "colours": {0: "bluish"}}, ParameterError, "bluish"),
        ({"maps": line_maps((4, 5)), "level": -1}, ParameterError, "level"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, arguments, error, words, left):
    with pytest.raises(error, match=words):
        export_ome_zarr(tmp_path / "m.ome.zarr", **arguments)
    assert left() == []


def test_only_own_exports_are_replaced_and_only_if_asked(tmp_path, left):
    path = export_ome_zarr(tmp_path / "m.ome.zarr", line_maps((4, 5)))
    with pytest.raises(OutputExistsError, match="exists already"):
        export_ome_zarr(path, line_maps((6, 7)))
    export_ome_zarr(path, line_maps((6, 7)), overwrite=True)
    assert zarr.open_group(str(path), mode="r")["0"].shape == (3, 6, 7)
    other = tmp_path / "other.ome.zarr"
    zarr.open_group(str(other), mode="w").attrs["ome"] = {"version": "0.5"}
    with pytest.raises(OutputExistsError, match="no exported"):
        export_ome_zarr(other, line_maps((6, 7)), overwrite=True)
    with pytest.raises(ParameterError, match=r"must end in \.ome\.zarr"):
        export_ome_zarr(tmp_path / "m.zarr", line_maps((6, 7)))
    assert left() == ["m.ome.zarr", "other.ome.zarr"]
