"""HyperSpy's files however they are stored: chunks, zip, several signals; and when damaged."""

import pickle
import shutil
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import zarr
from hyperspy_files import make_data, make_signal, older_zarr, save, write, zipped
from mutate import faults, read_everything

from sigma_scale import config
from sigma_scale.errors import FileFormatError, MemoryLimitError, ParameterError
from sigma_scale.readers import read

h5py = pytest.importorskip("h5py")
pytest.importorskip("exspy")


def rewritten(path, data, **options):
    """Put another dataset in the place of a file's data."""
    with h5py.File(path, "r+") as file:
        (group,) = file["Experiments"].values()
        del group["data"]
        group.create_dataset("data", data=data, **options)
    return path


def dense(image):
    """All blocks of a map put together, without dask."""
    result = np.zeros(image.shape, image.source.dtype)
    height, width = image.source.chunk_shape
    for i, j in np.ndindex(image.n_blocks):
        block = image.source.read_block(i, j).to_dense()
        rows, columns = block.shape[:2]
        result[i * height : i * height + rows, j * width : j * width + columns] = block
    return result


STORAGE = {
    "contiguous": {},
    "gzip": {"chunks": (5, 7, 60), "compression": "gzip"},
    "shuffled": {"chunks": (8, 16, 60), "compression": "gzip", "shuffle": True},
    "parts of the energies": {"chunks": (8, 16, 17), "compression": "gzip", "shuffle": True},
    "planes": {"chunks": (150, 140, 1), "compression": "gzip"},
    "lzf": {"chunks": (8, 16, 60), "compression": "lzf"},
    "checksums": {"chunks": (8, 16, 60), "compression": "gzip", "fletcher32": True},
    "plain chunks": {"chunks": (1, 140, 60)},
    "larger than the map": {"chunks": (300, 140, 60), "maxshape": (None, None, None)},
}


@pytest.mark.parametrize("storage", sorted(STORAGE))
@pytest.mark.parametrize("dtype", ["<u2", ">u2", "<i4", "<f4"])
def test_counts_are_read_however_they_are_stored(tmp_path, storage, dtype):
    data = make_data((150, 140, 60), dtype)
    path = rewritten(write(tmp_path, make_data((150, 140, 60))), data, **STORAGE[storage])
    image = read(path)
    np.testing.assert_array_equal(dense(image), data)


def test_the_energy_axis_may_be_first_in_the_file(tmp_path):
    data = make_data((30, 40, 60))
    path = write(tmp_path, data)
    with h5py.File(path, "r+") as file:
        (group,) = file["Experiments"].values()
        del group["data"]
        group.create_dataset("data", data=np.moveaxis(data, -1, 0), chunks=(1, 30, 40))
        group.move("axis-2", "energy")
        group.move("axis-1", "axis-2")
        group.move("axis-0", "axis-1")
        group.move("energy", "axis-0")
    image = read(path)
    np.testing.assert_array_equal(dense(image), data)
    assert image.energy.scale_kev == pytest.approx(0.02)
    assert image.pixel_size == (0.5, 0.25)


def test_a_chunk_that_inflates_to_more_than_its_size_is_refused(tmp_path):
    path = write(tmp_path, make_data((5, 7, 60)))
    rewritten(path, make_data((5, 7, 60)), chunks=(5, 7, 60), compression="gzip")
    with h5py.File(path, "r+") as file:
        (group,) = file["Experiments"].values()
        bomb = zlib.compress(bytes(2**22))
        group["data"].id.write_direct_chunk((0, 0, 0), bomb)
    image = read(path)
    with pytest.raises(FileFormatError, match=r"map\.hspy.*chunk at \(0, 0, 0\).*inflates to more"):
        image.source.read_block(0, 0)


@pytest.mark.parametrize("suffix", [".hspy", ".zspy"])
def test_blocks_are_made_of_whole_chunks(tmp_path, suffix):
    path = write(tmp_path, make_data((90, 70, 60)), suffix=suffix, chunks=(20, 30, 60))
    image = read(path)
    assert image.source.chunk_shape == (90 // 20 * 20 + 20 * 2, 120)
    np.testing.assert_array_equal(dense(image), make_data((90, 70, 60)))


@pytest.mark.parametrize("suffix", [".hspy", ".zspy"])
def test_a_source_can_be_pickled_and_read_from_threads(tmp_path, suffix):
    path = write(tmp_path, make_data((300, 20, 60)), suffix=suffix, chunks=(10, 10, 60))
    source = pickle.loads(pickle.dumps(read(path).source))  # noqa: S301
    with ThreadPoolExecutor(4) as threads:
        blocks = list(threads.map(lambda row: source.read_block(row % 3, 0).to_dense(), range(24)))
    for row in range(3):
        for block in blocks[row::3]:
            np.testing.assert_array_equal(block, blocks[row])
    rows = source.chunk_shape[0]
    np.testing.assert_array_equal(np.concatenate(blocks[:3]), make_data((300, 20, 60)))
    assert rows < 300


def test_a_chunk_beyond_the_memory_limit_is_refused(tmp_path):
    path = write(tmp_path, make_data((90, 70, 60)), chunks=(90, 70, 60))
    with (
        config.options(memory_limit="1MB"),
        pytest.raises(MemoryLimitError, match=r"chunk of .*map\.hspy.*smaller chunks"),
    ):
        read(path)


def test_a_zipped_zspy_is_read(tmp_path):
    data = make_data((20, 30, 60))
    path = zipped(write(tmp_path, data, suffix=".zspy"))
    assert path.is_file()
    image = read(path)
    np.testing.assert_array_equal(dense(image), data)
    again = pickle.loads(pickle.dumps(image))  # noqa: S301
    np.testing.assert_array_equal(dense(again), data)


def several(folder, suffix=".hspy"):
    """File with two maps, their sum spectrum and an image."""
    import hyperspy.api as hs

    path = folder / f"several{suffix}"
    picture = hs.signals.Signal2D(np.arange(35.0).reshape(5, 7))
    large = hs.signals.Signal2D(np.arange(100, dtype=np.uint8).reshape(10, 10))
    first, second = (make_signal(make_data() + extra) for extra in (0, 3))
    for title, signal in [
        ("a sum", first.sum()),
        ("first", first),
        ("second", second),
        ("BSE image", picture),
        ("SE", large),
    ]:
        signal.metadata.General.title = title
        single = save(signal, folder / f"{title}.hspy")
        with h5py.File(single) as source, h5py.File(path, "a") as target:
            target.attrs.update(source.attrs)
            target.require_group("Experiments")
            source.copy(f"Experiments/{title}", target["Experiments"])
    return path


def test_one_of_several_signals_is_chosen_by_its_title(tmp_path):
    path = several(tmp_path)
    np.testing.assert_array_equal(dense(read(path)), make_data())
    np.testing.assert_array_equal(dense(read(path, title="second")), make_data() + 3)
    np.testing.assert_array_equal(dense(read(path, title="a sum"))[0, 0], make_data().sum((0, 1)))
    with pytest.raises(ParameterError, match=r"third.*'a sum', 'first', 'second'"):
        read(path, title="third")


def test_images_beside_the_map_are_kept(tmp_path):
    image = read(several(tmp_path))
    assert set(image.images) == {"navigation", "SE"}
    np.testing.assert_array_equal(image.navigation, np.arange(35.0).reshape(5, 7))
    assert image.navigation.attrs["long_name"] == "BSE image"
    assert image.images["SE"].dtype == np.uint8
    assert image.images["SE"].shape == (10, 10)


def test_the_stage_is_read(tmp_path):
    def move(signal):
        for name, value in {
            "x": 1.5,
            "y": -2.0,
            "z": 10.0,
            "tilt_alpha": 3.0,
            "rotation": 90.0,
        }.items():
            signal.metadata.set_item(f"Acquisition_instrument.SEM.Stage.{name}", value)

    found = read(write(tmp_path, make_data(), move)).metadata
    assert (found.stage_x_mm, found.stage_y_mm, found.stage_z_mm) == (1.5, -2.0, 10.0)
    assert (found.stage_tilt_deg, found.stage_rotation_deg) == (3.0, 90.0)


class Trap:
    """Unpickling it leaves a trace."""

    def __reduce__(self):
        return exec, ("import sys; sys.sprung = True",)


def test_pickled_objects_are_never_read(tmp_path):
    from numcodecs import Pickle

    path = write(tmp_path, make_data(), suffix=".zspy")
    with older_zarr():
        group = zarr.open_group(path, mode="r+", use_consolidated=False)
    (name,) = group["Experiments"].keys()
    folder = path / "Experiments" / name
    for place in (folder / "data", folder / "metadata" / "Sample" / "trap"):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        (place / ".zarray").write_text(
            '{"zarr_format": 2, "shape": [1, 1, 1], "chunks": [1, 1, 1], "dtype": "|O", '
            '"fill_value": 0, "order": "C", "compressor": null, '
            '"filters": [{"id": "pickle", "protocol": 5}]}'
        )
        trap = np.empty(1, dtype=object)
        trap[0] = Trap()
        (place / "0.0.0").write_bytes(Pickle().encode(trap))
    with pytest.raises(FileFormatError, match=r"map\.zspy"):
        read_everything(path)
    assert not hasattr(sys, "sprung")


def test_an_endless_map_is_refused(tmp_path):
    path = write(tmp_path, make_data())
    with h5py.File(path, "r+") as file:
        (group,) = file["Experiments"].values()
        del group["data"]
        group.create_dataset("data", (10**6, 10**6, 60), chunks=(10, 10, 60), dtype="u2")
    with pytest.raises(FileFormatError, match=r"map\.hspy.*bytes of counts, but it holds"):
        read(path)


def read_all_of(path):
    """Read a whole file whatever is damaged."""

    def read_it(_):
        read_everything(path)

    return read_it


def test_damaged_files_are_refused_or_read(tmp_path):
    path = write(tmp_path, make_data((20, 30, 60)), chunks=(8, 8, 60))
    folder = tmp_path / "damaged"
    folder.mkdir()
    assert faults(read_everything, path, folder) == {}


MEMBERS = [
    ".zattrs",
    "Experiments/*/.zgroup",
    "Experiments/*/axis-2/.zattrs",
    "Experiments/*/data/.zarray",
    "Experiments/*/data/0*",
    "Experiments/*/metadata/Signal/.zattrs",
    "Experiments/*/metadata/Sample/_list_elements/.zarray",
    "Experiments/*/metadata/Sample/_list_elements/0",
]


@pytest.mark.parametrize("member", MEMBERS)
def test_damaged_members_of_a_zspy_are_refused_or_read(tmp_path, member):
    path = write(
        tmp_path, make_data((20, 30, 60)), lambda s: s.set_elements(["Al", "Si"]), suffix=".zspy"
    )
    target = next(file for file in sorted(path.glob(member)))
    while target.is_dir():
        target = min(target.iterdir())
    whole = target.with_name(f"{target.name}.whole")
    shutil.copy(target, tmp_path / whole.name)
    found = faults(
        read_all_of(path),
        tmp_path / whole.name,
        _folder(tmp_path),
        number=_share(len(MEMBERS)),
        prepare=lambda damaged: shutil.copy(damaged, target),
    )
    assert found == {}


def test_a_damaged_zip_is_refused_or_read(tmp_path):
    path = zipped(write(tmp_path, make_data((20, 30, 60)), suffix=".zspy"))
    assert faults(read_everything, path, _folder(tmp_path)) == {}


def _folder(parent):
    folder = parent / "damaged"
    folder.mkdir()
    return folder


def _share(parts):
    from mutate import MUTATIONS

    return max(5, MUTATIONS // parts)


def test_a_heap_that_the_library_would_not_come_out_of_is_refused(tmp_path):
    path = write(tmp_path, make_data(), lambda signal: signal.set_elements(["Al", "Si"]))
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL\x01")
    content[heap + 16 : heap + 32] = bytes(16)  # free space of no size
    path.write_bytes(bytes(content))
    with pytest.raises(FileFormatError, match=rf"map\.hspy.*heap at byte {heap:,}"):
        read(path)
