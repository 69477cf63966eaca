"""Images and metadata of mosaics, pasted by the same rule as their counts."""

import numpy as np
import pytest
from dense_mosaic import layout_of, oracle_mosaic, tile_counts

from sigma_scale.mosaic import Registration, TileLayout, compose
from sigma_scale.spectra import MapMetadata
from sigma_scale.spectra.metadata import SourceFile

SHAPES, OFFSETS = [(60, 150), (150, 60), (33, 40)], [(0, 0), (10, 100), (50, 20)]


def navigation(values, **attrs):
    import xarray as xr

    return xr.DataArray(values, dims=("y", "x"), attrs=attrs)


def test_images_are_pasted_by_the_same_rule():
    shapes, offsets = SHAPES, OFFSETS
    counts = tile_counts(shapes)
    rng = np.random.default_rng(3)
    shown = [rng.integers(1, 60_000, shape).astype(np.uint16) for shape in shapes]
    details = [{"images": {"navigation": navigation(values)}} for values in shown]
    details[1] = {"images": {"navigation": navigation(shown[1]).chunk(13)}}
    details[2] = {}
    doses = np.array([0.5, 2.0, 3.0])
    layout = layout_of(counts, offsets, details=details)
    image = compose(layout, doses=doses)
    _, owner, covered = oracle_mosaic(counts, offsets)
    expected, of_dose = np.zeros(owner.shape), np.ones(owner.shape)
    for number, (values, (y, x)) in enumerate(zip(shown, offsets, strict=True)):
        whole = np.zeros(owner.shape)
        whole[y : y + values.shape[0], x : x + values.shape[1]] = values
        of_dose[owner == number] = doses[number]
        if number < 2:
            expected[owner == number] = whole[owner == number]
    np.testing.assert_array_equal(image.navigation.values, expected)
    assert image.navigation.dtype == np.uint16
    np.testing.assert_array_equal(image.images["dose"].values, of_dose.astype(np.float32))
    summed = compose(layout, doses=doses, overlap="sum")
    total = np.tensordot(doses, covered, 1)
    np.testing.assert_allclose(
        summed.images["dose"].values, np.where(covered.any(axis=0), total, 1)
    )
    np.testing.assert_array_equal(summed.images["n_tiles"].values, covered.sum(axis=0))
    assert {item.dtype.name for item in (summed.images["dose"], summed.images["n_tiles"])} == {
        "float32"
    }


def test_live_times_are_summed_per_pixel():
    shapes, offsets = [(10, 20), (20, 20)], [(0, 0), (5, 10)]
    details = [{"metadata": MapMetadata(live_time_s=time)} for time in (100.0, 80.0)]
    layout = layout_of(tile_counts(shapes), offsets, details=details)
    image = compose(layout, overlap="sum", doses="equal")
    times = image.images["live_time"]
    assert times.attrs["units"] == "s"
    assert sorted(np.unique(times.values)) == pytest.approx([0.0, 0.2, 0.5, 0.7])
    assert float(times.values.sum(dtype=float)) == pytest.approx(180.0)
    assert image.metadata.live_time_s == 180.0
    assert "live_time" not in compose(layout, doses="equal").images


def test_images_larger_than_a_piece_of_work_are_whole():
    shapes, offsets = [(40, 900), (60, 800)], [(0, 0), (20, 700)]
    counts = tile_counts(shapes, channels=12, rate=0.01)
    _, owner, _ = oracle_mosaic(counts, offsets)
    image = compose(layout_of(counts, offsets), doses="equal")
    assert image.images["tile"].data.numblocks == (1, 2)
    np.testing.assert_array_equal(image.images["tile"].values, owner)


def test_doses_that_are_not_given_are_estimated_when_they_are_wanted():
    rng = np.random.default_rng(1)
    rate = rng.uniform(0.5, 2, (60, 110, 1)) * np.ones(12)
    parts = [(rate[:, :60], 1.0), (rate[:, 50:], 0.5)]
    counts = [rng.poisson(20 * part * dose).astype(np.uint8) for part, dose in parts]
    image = compose(layout_of(counts, [(0, 0), (0, 50)]))
    dose = image.images["dose"].values
    assert dose[30, 5] / dose[30, 100] == pytest.approx(2.0, rel=0.05)


def test_metadata_are_united():
    def about(number, **details):
        return {
            "metadata": MapMetadata(
                beam_energy_kev=20.0, elements=("Fe", f"{'OSC'[number]}"), lines=("Fe_Ka",),
                real_time_s=5.0, stage_x_mm=10.0 - 0.01 * number, stage_y_mm=4.0,
                elevation_deg=35.0, stage_tilt_deg=float(number), **details,
            )
        }  # fmt: skip

    details = [
        about(0, resolution_mn_ka_ev=128.0),
        about(1, resolution_mn_ka_ev=128.0),
        about(2, live_time_s=3.0),
    ]
    counts = tile_counts([(11, 11)] * 3)
    layout = layout_of(counts, [(0, 0), (0, 10), (0, 20)], details=details)
    found = compose(layout, doses="equal").metadata
    assert found.title == "mosaic of 3 tiles"
    assert (found.beam_energy_kev, found.resolution_mn_ka_ev) == (20.0, 128.0)
    assert (found.elements, found.lines) == (("Fe", "O", "S", "C"), ("Fe_Ka",))
    assert (found.live_time_s, found.real_time_s) == (None, 15.0)
    assert (found.elevation_deg, found.stage_tilt_deg) == (35.0, None)
    # The stage's x goes to the left here; the mosaic's centre is the middle tile's.
    assert (found.stage_x_mm, found.stage_y_mm) == pytest.approx((9.99, 4.0))


def test_files_of_one_name_in_different_folders_are_all_sources(tmp_path):
    details = []
    for folder in ("a", "b", "b"):
        (tmp_path / folder).mkdir(exist_ok=True)
        path = tmp_path / folder / "map.raw"
        path.write_bytes(folder.encode())
        details.append({"metadata": MapMetadata(sources=(SourceFile.at(path),))})
    layout = layout_of(tile_counts([(9, 9)] * 3), [(0, 0), (0, 8), (8, 0)], details=details)
    found = compose(layout, doses="equal").metadata.sources
    assert [file.path.parent.name for file in found] == ["a", "b"]


def test_the_scale_is_that_of_the_layout_or_of_the_tiles():
    counts = tile_counts([(10, 10)] * 2)
    plain = compose(layout_of(counts, [(0, 0), (0, 8)]), doses="equal")
    assert (plain.pixel_size, plain.pixel_unit) == ((1.0, 1.0), "pixel")
    details = [{"pixel_size": (0.5, 0.25), "pixel_unit": "µm"}] * 2
    layout = layout_of(counts, [(0, 0), (0, 8)], details=details)
    image = compose(layout, doses="equal")
    assert (image.pixel_size, image.pixel_unit) == ((0.5, 0.25), "µm")
    assert image.images["tile"].x.values[1] == 0.25
    assert image.shape[:2] == (10, 18)
    in_um = TileLayout(layout.tiles, "µm")
    image = compose(in_um, doses="equal")
    assert image.shape[:2] == (10, 42)


def test_a_registration_is_composed_where_it_found_the_tiles():
    counts = tile_counts([(10, 10)] * 2)
    layout = layout_of(counts, [(0, 0), (0, 8)])
    moved = layout.with_offsets(np.array([[0.0, 0.0], [2.0, 7.0]]))
    assert compose(Registration(moved, None, ()), doses="equal").shape[:2] == (12, 17)
