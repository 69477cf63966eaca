"""One way to say how far long work has come, as a bar in terminals and notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sigma_scale import config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tqdm import tqdm

from contextlib import contextmanager

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(description: str, *, total: int, unit: str = "px") -> Iterator[tqdm]:
    """
    Bar that is shown where the option ``progress`` is set, and otherwise does nothing.

    Parameters
    ----------
    description : str
        What is being done, such as ``"Reading counts"``.
    total : int
        Amount of work, in ``unit``.
    unit : str, default: "px"
        Unit of the work.

    Yields
    ------
    tqdm.tqdm
        Call its ``update(n)``.
    """
    from tqdm.auto import tqdm

    shown = bool(config.get("progress"))
    with tqdm(
        total=total, desc=description, unit=unit, unit_scale=True, disable=not shown, leave=True
    ) as bar:
        yield bar
