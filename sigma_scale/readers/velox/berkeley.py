"""Other .emd files: the open format of Berkeley Lab, by way of RosettaSciIO."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sigma_scale.readers.hdf5.heaps import check_attributes, check_heaps
from sigma_scale.readers.hdf5.texts import dataset_texts
from sigma_scale.readers.hdf5.values import is_text
from sigma_scale.readers.signals import choose_eds, image_from_signals, load
from sigma_scale.readers.velox.structure import check_stored, open_file

if TYPE_CHECKING:
    from pathlib import Path

    from sigma_scale.spectra import SpectrumImage

__all__ = ["read_berkeley"]


def read_berkeley(path: Path) -> SpectrumImage:
    """
    Read the EDS map of an .emd file of Berkeley Lab's kind, if it says that it has one.

    Raises
    ------
    FileFormatError
        If the file is damaged.
    NoSpectraError
        If none of its data are EDS spectra.
    """
    _check_all(path)
    signals = load(_signals, path, format_name="Berkeley .emd")
    return image_from_signals(path, choose_eds(path, signals), signals, format_name="Berkeley .emd")


def _signals(path: str) -> list[dict[str, Any]]:
    from rsciio.emd import file_reader

    return list(file_reader(path, lazy=True))


def _check_all(path: Path) -> None:
    """Check every dataset before RosettaSciIO believes what it claims."""
    import h5py

    def check(name: str, node: Any) -> None:  # noqa: ARG001
        check_attributes(node.file, [node])
        if isinstance(node, h5py.Dataset):
            check_stored(node)
            if is_text(node.dtype) and node.dtype.kind == "O":
                dataset_texts(node)

    check_heaps(path)
    with open_file(path) as file:
        check_attributes(file, [file])
        file.visititems(check)
