"""Maps of connected regions as images: numbers stay, and smaller sizes hold no new ones."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import zarr
from exported_maps import label_map

from sigma_scale.errors import ParameterError
from sigma_scale.export import export_ome_tiff, export_ome_zarr
from sigma_scale.export.pyramid import halved
from sigma_scale.phases.regions import region_labels


@pytest.mark.parametrize("lazy", [False, True])
def test_regions_keep_their_numbers_in_every_size(tmp_path, lazy):
    labels = label_map((700, 90))
    regions = region_labels(labels.chunk(y=100) if lazy else labels)
    values = np.asarray(regions)
    assert 0 in values
    path = export_ome_tiff(regions, tmp_path / "r.ome.tif", names={1: "the first"})
    with tifffile.TiffFile(path) as file:
        first, second = (level.asarray() for level in file.series[0].levels)
        assert "Numbers of regions" in file.ome_metadata
        assert '<M K="1">the first</M>' in file.ome_metadata
    assert first.dtype == np.uint16
    np.testing.assert_array_equal(first, values)
    np.testing.assert_array_equal(second, halved(values, labels=True))
    assert set(np.unique(second)) <= set(np.unique(values))
    path = export_ome_zarr(tmp_path / "r.ome.zarr", labels=regions, colours={1: "red", 0: "white"})
    group = zarr.open_group(str(path), mode="r")["labels/region"]
    np.testing.assert_array_equal(group["0"][:], values)
    np.testing.assert_array_equal(group["1"][:], second)
    described = group.attrs["ome"]["image-label"]
    assert [colour["label-value"] for colour in described["colors"]] == [0, 1]
    assert described["properties"][1] == {"label-value": 1, "region": 1}


def test_the_largest_numbers(tmp_path):
    regions = label_map((1, 2), low=0).astype(np.int64).rename("region")
    for highest, dtype in ((255, "uint8"), (256, "uint16"), (2**32 - 1, "uint32")):
        regions[:] = [[0, highest]]
        path = export_ome_tiff(regions, tmp_path / "r.ome.tif", overwrite=True)
        assert tifffile.imread(path).dtype == dtype
        np.testing.assert_array_equal(tifffile.imread(path), regions)
    regions[:] = [[0, 2**32]]
    with pytest.raises(ParameterError, match=r"4,294,967,296; at most 4,294,967,295"):
        export_ome_tiff(regions, path, overwrite=True)
