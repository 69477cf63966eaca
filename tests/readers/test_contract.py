"""What every reader keeps to, whatever its format."""

from __future__ import annotations

import pickle
import re
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor

import dask
import numpy as np
import pytest
from blake3 import blake3
from dask.base import tokenize
from formats import FORMATS, SHAPE, make_counts, write

from sigma_scale.errors import (
    FileFormatError,
    ParameterError,
    SigmaScaleError,
    SigmaScaleWarning,
    SourceNotFoundError,
)
from sigma_scale.files import fingerprint_of
from sigma_scale.readers import read
from sigma_scale.spectra import BlockSource, Scratch
from sigma_scale.store import open_map, verify_map, write_map

pytestmark = pytest.mark.filterwarnings("ignore::sigma_scale.errors.SigmaScaleWarning")


@pytest.fixture(scope="module")
def counts():
    return make_counts()


@pytest.fixture(scope="module", params=sorted(FORMATS))
def path(request, tmp_path_factory, counts):
    return write(request.param, tmp_path_factory.mktemp(request.param), counts)


@pytest.fixture(scope="module")
def image(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SigmaScaleWarning)
        return read(path)


def test_counts_are_those_of_the_file(image, counts):
    assert image.shape == SHAPE
    assert image.source.dtype.kind == "u"
    np.testing.assert_array_equal(image.to_xarray(), counts)
    np.testing.assert_array_equal(image.sum_spectrum(), counts.sum((0, 1), dtype=np.uint64))


def test_each_block_is_its_part_of_the_map(image, counts):
    source = image.source
    assert isinstance(source, BlockSource)
    height, width = source.chunk_shape
    rows, columns = image.n_blocks
    scratch = Scratch()
    for i in reversed(range(rows)):
        for j in range(columns):
            block = source.read_block(i, j, scratch)
            expected = counts[i * height : (i + 1) * height, j * width : (j + 1) * width]
            assert block.shape == expected.shape
            np.testing.assert_array_equal(block.to_dense(), expected)
            assert block.dtype.itemsize <= source.dtype.itemsize
            assert block.n_events == np.count_nonzero(expected)


def test_blocks_can_be_read_from_many_threads(image, counts):
    rows, columns = image.n_blocks
    places = [(i, j) for i in range(rows) for j in range(columns)] * 3

    def total(place):
        return int(image.source.read_block(*place).counts.sum(dtype=np.int64))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(total, places)) == 3 * int(counts.sum(dtype=np.int64))


def test_a_source_can_be_sent_to_another_process(image):
    source = image.source
    before = source.read_block(0, 0).to_dense()
    again = pickle.loads(pickle.dumps(source))  # noqa: S301 -- our own, from the line itself
    np.testing.assert_array_equal(again.read_block(0, 0).to_dense(), before)
    assert (again.shape, again.dtype, again.chunk_shape) == (
        source.shape,
        source.dtype,
        source.chunk_shape,
    )
    assert tokenize(again) == tokenize(source)
    with dask.config.set(scheduler="processes", num_workers=1):
        total = image.sum_spectrum().sum().compute()
    assert int(total) == int(image.sum_spectrum().sum())


def test_tokens_tell_contents_apart(path, image, counts, tmp_path):
    assert tokenize(read(path).source) == tokenize(image.source)
    name = next(name for name in FORMATS if path.parent.name.startswith(f"{name}0"))
    other = counts.copy()
    other[0, 1, 5] += 1
    assert tokenize(read(write(name, tmp_path, other)).source) != tokenize(image.source)


def test_tokens_tell_when_a_file_within_is_written_again(path, tmp_path):
    """A folder's own size and time stay when a chunk deep within it is replaced."""
    copy = shutil.copytree(path.parent, tmp_path / "copy") / path.name
    opened = read(copy)
    before = tokenize(opened.source), [fingerprint_of(s.path) for s in opened.metadata.sources]
    assert tokenize(read(copy).source) == before[0]
    largest = max(
        (f for f in copy.parent.rglob("*") if f.is_file()), key=lambda f: f.stat().st_size
    )
    # Copies keep the time of the original, so that this one changes although the bytes don't.
    largest.write_bytes(largest.read_bytes())
    again = read(copy)
    assert tokenize(again.source) != before[0]
    assert [fingerprint_of(s.path) for s in again.metadata.sources] != before[1]
    if copy.is_dir():
        assert tokenize(opened.source) != before[0]


def test_axes_and_metadata_are_there(path, image):
    assert image.energy.size == SHAPE[2]
    assert 0.001 < image.energy.scale_kev < 0.1
    assert image.pixel_unit in {"µm", "pixel"}
    assert all(size > 0 for size in image.pixel_size)
    assert image.metadata.title
    names = {source.name for source in image.metadata.sources}
    assert path.name in names
    for source in image.metadata.sources:
        if source.path.is_file():
            content = source.path.read_bytes()
            hashed = source.hashed()
            assert hashed.size == len(content)
            assert hashed.digest == f"blake3:{blake3(content).hexdigest()}"


def test_a_store_holds_what_the_file_does(image, counts, tmp_path):
    stored = write_map(image, tmp_path / "map.zarr")
    assert verify_map(stored, image) == counts.shape[0] * counts.shape[1]
    again = open_map(tmp_path / "map.zarr")
    np.testing.assert_array_equal(again.to_xarray(), counts)
    assert (again.energy, again.pixel_size, again.pixel_unit) == (
        image.energy,
        image.pixel_size,
        image.pixel_unit,
    )
    assert again.metadata == image.metadata.with_hashes()
    assert set(again.images) == set(image.images)
    for name, picture in image.images.items():
        np.testing.assert_array_equal(again.images[name], picture)


def test_an_option_that_there_is_not_is_refused(path):
    with pytest.raises(ParameterError, match="no option 'sharpness'"):
        read(path, sharpness=3)


def test_what_is_missing_empty_or_a_folder_is_refused(path, tmp_path):
    """The files beside it stay, so that it is this one that is refused."""
    copy = shutil.copytree(path.parent, tmp_path / "copy") / path.name
    if copy.is_dir():
        shutil.rmtree(copy)
    else:
        copy.unlink()
    with pytest.raises(SourceNotFoundError, match=re.escape(f"no file {copy}")):
        read(copy)
    copy.touch()
    with pytest.raises(FileFormatError, match=re.escape(str(copy))):
        read(copy)
    copy.unlink()
    copy.mkdir()
    with pytest.raises(FileFormatError, match=re.escape(str(copy))):
        read(copy)


PARTNERS = [
    ("rpl_vector", "map.rpl", "map.raw"),
    ("raw_image", "map.raw", "map.rpl"),
    ("emi", "map.emi", "map_1.ser"),
]


@pytest.mark.parametrize(("name", "opened", "partner"), PARTNERS)
def test_a_missing_partner_is_named(name, opened, partner, counts, tmp_path):
    write(name, tmp_path, counts[:4, :5])
    (tmp_path / partner).unlink()
    expected = rf"(?=.*{re.escape(opened)}).*{re.escape(partner)}"
    with pytest.raises(SourceNotFoundError, match=expected):
        read(tmp_path / opened)


def test_there_are_no_blocks_outside_of_the_map(image):
    rows, columns = image.n_blocks
    for place in [(-1, 0), (0, -1), (-rows, -columns), (rows, 0), (0, columns), (10**9, 10**9)]:
        message = re.escape(f"no block {place}: the map has {rows} x {columns} blocks")
        with pytest.raises(ParameterError, match=message):
            image.source.read_block(*place)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.95])
def test_a_cut_off_file_is_refused_or_read_right(path, counts, share, tmp_path):
    copy = tmp_path / path.parent.name
    shutil.copytree(path.parent, copy)
    largest = max((f for f in copy.rglob("*") if f.is_file()), key=lambda f: f.stat().st_size)
    content = largest.read_bytes()
    largest.write_bytes(content[: int(share * len(content))])
    try:
        dense = read(copy / path.name).to_xarray().values
    except SigmaScaleError as error:
        assert path.name in str(error) or largest.name in str(error)  # noqa: PT017
    else:
        np.testing.assert_array_equal(dense, counts)
