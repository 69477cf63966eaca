"""Masks per phase."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import tifffile
import xarray as xr
from exported_maps import label_map, labelled
from PIL import Image

from sigma_scale import config
from sigma_scale.errors import EmptyMapError, MemoryLimitError, OutputExistsError, ParameterError
from sigma_scale.export import export_masks


def mask(path):
    return tifffile.imread(path) if path.suffix == ".tif" else np.asarray(Image.open(path))


@pytest.mark.parametrize("file_format", ["png", "tif"])
@pytest.mark.parametrize("lazy", [False, True])
def test_one_mask_per_phase_and_a_table(tmp_path, file_format, lazy):
    labels = label_map((1100, 30))
    given = labels.chunk(y=400) if lazy else labels
    folder = export_masks(
        given, tmp_path / "masks", file_format=file_format, names={1: "quartz / β"}
    )
    table = pd.read_csv(folder / "masks.csv")
    assert table["phase"].tolist() == [0, 1, 2, 3]
    assert table["name"][1] == "quartz / β"
    assert table["file"][1] == f"1_quartz_β.{file_format}"
    for row in table.itertuples():
        values = mask(folder / row.file)
        assert values.dtype == np.uint8
        np.testing.assert_array_equal(values, np.where(labels == row.phase, 255, 0))
        assert row.pixels == (labels == row.phase).sum()


@pytest.mark.parametrize("size", [(140, 120), (33, 47), (7, 200), (1, 1)])
def test_other_sizes_take_the_nearest_label(tmp_path, size):
    labels = label_map((70, 60), low=0)
    folder = export_masks(labels, tmp_path / "m", like=size, phases=[2])
    values = mask(folder / "2_phase_2.png")
    assert values.shape == size
    rows = [min(int((i + 0.5) * 70 / size[0]), 69) for i in range(size[0])]
    columns = [min(int((j + 0.5) * 60 / size[1]), 59) for j in range(size[1])]
    np.testing.assert_array_equal(values > 0, labels.to_numpy()[np.ix_(rows, columns)] == 2)


def test_an_image_with_coordinates_says_what_lies_where(tmp_path):
    labels = labelled(np.array([[0, 1], [1, 1]]), "labels", pixel=(2.0, 2.0))
    fine = labelled(np.zeros((8, 8)), "image", pixel=(1.0, 1.0), origin=-2.0)
    folder = export_masks(labels, tmp_path / "m", like=fine, file_format="tif")
    both = mask(folder / "0_phase_0.tif") // 255 + 2 * (mask(folder / "1_phase_1.tif") // 255)
    # Label pixels reach from -1 to 3, so from the second to the fourth row of the image.
    centres = np.arange(8) - 2.0
    inside = (centres >= -1) & (centres < 3)
    index = np.clip(np.floor((centres + 1) / 2), 0, 1).astype(int)
    expected = np.where(inside[:, None] & inside, labels.to_numpy()[np.ix_(index, index)] + 1, 0)
    np.testing.assert_array_equal(both, expected)


@pytest.mark.parametrize("units", ["µm", "pixel"])
def test_what_binning_left_out_belongs_to_no_phase(tmp_path, units):
    """Labels of 3 x 3 bins of a map of 7 x 8 pixels, whose image lies on the map's own pixels."""
    labels = labelled(np.array([[0, 1], [1, 0]]), "labels", pixel=(1.5, 1.5), units=units)
    labels = labels.assign_coords({d: labels[d] + 0.5 for d in ("y", "x")})
    for dim in ("y", "x"):
        labels[dim].attrs["units"] = units
    image = labelled(np.zeros((7, 8)), "image", pixel=(0.5, 0.5), units=units)
    folder = export_masks(labels, tmp_path / "m", like=image)
    both = mask(folder / "0_phase_0.png") // 255 + 2 * (mask(folder / "1_phase_1.png") // 255)
    expected = np.zeros((7, 8))
    expected[:6, :6] = np.kron(labels.to_numpy() + 1, np.ones((3, 3)))
    np.testing.assert_array_equal(both, expected)


def test_coordinates_without_a_common_unit_are_stretched(tmp_path):
    labels = label_map((4, 6), units="pixel", pixel=(1, 1), low=0)
    image = xr.DataArray(np.zeros((8, 12, 3)), dims=("y", "x", "c"))
    folder = export_masks(labels, tmp_path / "m", like=image, phases=[1])
    expected = np.kron(labels.to_numpy() == 1, np.ones((2, 2))) * 255
    np.testing.assert_array_equal(mask(folder / "1_phase_1.png"), expected)


def test_a_phase_without_pixels_has_an_empty_mask(tmp_path):
    folder = export_masks(label_map((4, 6)), tmp_path / "m", phases=[9])
    assert mask(folder / "9_phase_9.png").max() == 0


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"labels": label_map((4, 6), high=0)}, EmptyMapError, "all labels are negative"),
        ({"labels": label_map((4, 6)).astype(float)}, ParameterError, "whole numbers"),
        ({"labels": label_map((4, 6)).expand_dims("z")}, ParameterError, "dimensions"),
        ({"file_format": "gif"}, ParameterError, "gif"),
        ({"phases": [1, 1]}, ParameterError, "each once"),
        ({"phases": [-1]}, ParameterError, "0 upward"),
        ({"like": (0, 3)}, ParameterError, "at least one pixel"),
        ({"like": xr.DataArray(np.zeros(3), dims="x")}, ParameterError, "dimensions y and x"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, change, error, words, left):
    arguments = {"labels": label_map((4, 6)), "folder": tmp_path / "m"} | change
    with pytest.raises(error, match=words):
        export_masks(**arguments)
    assert left() == []


def test_a_large_png_is_refused_and_a_tiff_is_not(tmp_path):
    labels = label_map((50, 40))
    with config.options(memory_limit="1MB"):
        with pytest.raises(MemoryLimitError, match="TIFF instead"):
            export_masks(labels, tmp_path / "m", like=(3000, 2000))
        folder = export_masks(
            labels, tmp_path / "m", like=(3000, 2000), file_format="tif", phases=[0]
        )
    assert mask(folder / "0_phase_0.tif").shape == (3000, 2000)


def test_only_folders_of_masks_are_replaced(tmp_path):
    labels = label_map((5, 4))
    folder = export_masks(labels, tmp_path / "m")
    with pytest.raises(OutputExistsError, match="exists already"):
        export_masks(labels, folder)
    export_masks(labels, folder, overwrite=True, phases=[0])
    assert sorted(p.name for p in folder.iterdir()) == ["0_phase_0.png", "masks.csv"]
    (folder / "thesis.docx").touch()
    with pytest.raises(OutputExistsError, match="no exported"):
        export_masks(labels, folder, overwrite=True)
    assert (folder / "thesis.docx").exists()
