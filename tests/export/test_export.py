from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from sigma_scale.errors import ParameterError
from sigma_scale.export import export_counts
from sigma_scale.preprocess import normalise, rebin, remove_first_peak
from sigma_scale.spectra import ArraySource, EnergyAxis, SpectrumImage

SUFFIXES = [".hspy", ".zspy", ".zarr"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_counts_come_back_in_another_program(tmp_path, described, suffix, dense, left):
    path = tmp_path / f"map{suffix}"
    assert export_counts(described, path) == path
    written, counts = dense(path), described.source.data
    np.testing.assert_array_equal(written, counts)
    assert written.dtype == counts.dtype
    assert left() == [path.name]


@pytest.mark.filterwarnings("ignore::sigma_scale.errors.SigmaScaleWarning")
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "steps",
    [
        lambda image: rebin(image, (2, 3)),
        lambda image: rebin(image, (25, 15)),
        lambda image: normalise(rebin(image, (2, 2))),
        lambda image: remove_first_peak(image, 0.5),
        lambda image: remove_first_peak(normalise(image), 0.5),
    ],
    ids=["rebinned", "coarse", "normalised", "cut", "normalised and cut"],
)
def test_the_image_is_written_as_it_is_seen(tmp_path, described, suffix, steps, dense):
    seen = steps(described)
    view = seen.to_xarray()
    path = export_counts(seen, tmp_path / f"map{suffix}")
    written = dense(path, str(view.name))
    assert written.dtype == view.dtype
    np.testing.assert_array_equal(written, view.values)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "options",
    [
        {"level": level, "dtype": dtype}
        for level in (0, 1, 9)
        for dtype in ("u1", "u2", "u4", "u8", "f4", "f8")
    ],
)
def test_types_and_compression(tmp_path, image, suffix, options, dense):
    path = export_counts(image, tmp_path / f"map{suffix}", **options)
    written = dense(path)
    assert written.dtype == np.dtype(options["dtype"])
    np.testing.assert_array_equal(written, image.source.data)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_fractions_come_back(tmp_path, suffix, dtype, dense):
    values = np.random.default_rng(0).random((9, 40, 50)).astype(dtype)
    image = SpectrumImage.from_array(values, EnergyAxis(50, 0.01))
    path = export_counts(image, tmp_path / f"map{suffix}")
    np.testing.assert_array_equal(dense(path), values)
    with pytest.raises(ParameterError, match="fractions"):
        export_counts(image, tmp_path / f"other{suffix}", dtype="u2")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 300, 7), (33, 1, 2), (2, 2, 65_535)])
@pytest.mark.parametrize("block", [(128, 128), (1, 400), (16, 1)])
def test_maps_of_any_shape(tmp_path, suffix, shape, block, dense):
    values = np.random.default_rng(3).poisson(0.4, shape).astype(np.uint16)
    image = SpectrumImage(ArraySource(values, block), EnergyAxis(shape[2], 0.01))
    path = export_counts(image, tmp_path / f"map{suffix}")
    np.testing.assert_array_equal(dense(path), values)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_empty_map_is_written_as_zeros(tmp_path, suffix, dense):
    values = np.zeros((40, 50, 10), dtype=np.uint8)
    image = SpectrumImage.from_array(values, EnergyAxis(10, 0.01))
    np.testing.assert_array_equal(dense(export_counts(image, tmp_path / f"m{suffix}")), values)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_counts_too_large_for_the_type_are_refused_and_nothing_is_left(
    tmp_path, suffix, dtype, left
):
    values = np.ones((40, 50, 10), dtype=np.uint32)
    values[39, 49, 9] = 2**24 + 1
    image = SpectrumImage.from_array(values, EnergyAxis(10, 0.01))
    with pytest.raises(ParameterError, match="16,777,217 counts"):
        export_counts(image, tmp_path / f"map{suffix}", dtype=dtype)
    assert left() == []


MEASURED = """
import resource, sys
from sigma_scale.export import export_counts
from sigma_scale.synthetic import synthetic_map

side = int(sys.argv[2])
small = synthetic_map((128, 128), channels=1024).image
export_counts(small, sys.argv[1].replace("map", "small"))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
export_counts(synthetic_map((side, side), channels=1024).image, sys.argv[1])
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is measured in Linux's units")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_memory_does_not_grow_with_the_map(tmp_path, suffix):
    """A dense cube of 512 x 512 pixels takes 512 MB."""
    environment = {**os.environ, "DASK_NUM_WORKERS": "2"}
    script = [sys.executable, "-c", MEASURED, str(tmp_path / f"map{suffix}"), "512"]
    process = subprocess.run(  # noqa: S603
        script, capture_output=True, text=True, check=True, env=environment
    )
    assert int(process.stdout) < 200
