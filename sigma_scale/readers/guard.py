"""What can go wrong in a file, as errors that name it."""

from __future__ import annotations

import lzma
import struct
import tokenize
import zipfile
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sigma_scale.errors import (
    EmptyMapError,
    FileFormatError,
    SigmaScaleError,
    SourceNotFoundError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["DECODER_ERRORS", "check_plausible", "decoding", "require_file"]

# What vendor decoders raise on damaged files, as far as they raise anything sensible.
DECODER_ERRORS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    StopIteration,
    SyntaxError,  # XML that can't be parsed
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
    # NumPy parses headers as programs, and numcodecs makes buffers of the size that a chunk says.
    lzma.LZMAError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    SystemError,
)

_MOST_COMPRESSED = 100_000
_SMALL = 64 * 2**20


@contextmanager
def decoding(path: Path, format_name: str) -> Iterator[None]:
    """
    Turn what is raised while a file is read into errors that name it, a lack of memory too.

    Errors of this package pass through, named where they concern the file and don't name it.
    What needs more memory than the limit is refused before; what there is no memory for then was
    asked for on the word of a damaged file.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    format_name : str
        Such as ``"Bruker .bcf"``.

    Raises
    ------
    SourceNotFoundError
        If there is no file at the path.
    FileFormatError
        If the file can't be read.
    """
    try:
        yield
    except SigmaScaleError as error:
        if not isinstance(error, FileFormatError | EmptyMapError) or str(path) in str(error):
            raise
        raise type(error)(f"{path}: {error}") from error
    except MemoryError as error:
        raise FileFormatError(
            f"{path} is damaged, or a part of it takes more memory than there is."
        ) from error
    except PermissionError as error:
        raise FileFormatError(f"{path} can't be read: {error}") from error
    except DECODER_ERRORS as error:
        # A file within the folder may be what was not found.
        if not path.exists():
            raise SourceNotFoundError(f"There is no file {path}.") from error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FileFormatError(f"{path} is damaged or not a {format_name} file: {reason}") from error


def require_file(path: Path, format_name: str) -> None:
    """
    Refuse what is not there, or a folder, before a decoder stumbles over it.

    Raises
    ------
    SourceNotFoundError
        If there is nothing at the path.
    FileFormatError
        If it is not a file.
    """
    if not path.exists():
        raise SourceNotFoundError(f"There is no file {path}.")
    if not path.is_file():
        raise FileFormatError(f"{path} is a folder, not a {format_name} file.")


def check_plausible(path: Path, claimed_bytes: int, stored_bytes: int) -> None:
    """
    Refuse a header that claims far more data than its file could hold, however compressed.

    Parameters
    ----------
    path : pathlib.Path
        The file, for the message.
    claimed_bytes : int
        Size of the dense data that the header describes.
    stored_bytes : int
        Size of the file, or of the files of a folder.

    Raises
    ------
    FileFormatError
        If no compression could explain the difference.
    """
    if claimed_bytes > _SMALL + _MOST_COMPRESSED * stored_bytes:
        raise FileFormatError(
            f"{path} is damaged: its header describes {claimed_bytes:,} bytes of counts, but it "
            f"holds {stored_bytes:,} bytes in all."
        )
