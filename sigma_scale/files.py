"""Files that are there whole or not at all."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_atomically"]


def write_atomically(path: Path, content: bytes) -> Path:
    """
    Write a file so that it is there whole or not at all.

    Parameters
    ----------
    path : pathlib.Path
        File to write or replace; its folder is made where it is missing.
    content : bytes
        What to write.

    Returns
    -------
    pathlib.Path
        The file written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        draft.write_bytes(content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path
