"""k-factors of X-ray lines: read from tables, and checked against the lines they are for."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.errors import FileFormatError, ParameterError, SourceNotFoundError

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["checked_k_factors", "read_k_factors"]


def read_k_factors(path: str | os.PathLike[str]) -> dict[str, float]:
    """
    Read k-factors from a table.

    Parameters
    ----------
    path : path-like
        Text with the columns ``line`` and ``k_factor``, separated by commas, semicolons or tabs;
        ``#`` begins a remark. Further columns are passed over.

    Returns
    -------
    dict of str to float
        k-factor of each line, such as ``{"Fe_Ka": 1.21}``.

    Raises
    ------
    SourceNotFoundError
        If there is no such file.
    FileFormatError
        If it is no such table, names a line twice or not at all, or a factor is no number.
    """
    import pandas as pd

    source = Path(path)
    if not source.is_file():
        raise SourceNotFoundError(f"There is no table of k-factors at {source}.")
    try:
        with warnings.catch_warnings():
            # A row of more fields than the header has would otherwise move or lose its numbers.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(
                source,
                sep=r"\s*[,;\t]\s*",
                engine="python",
                comment="#",
                dtype=str,
                index_col=False,
            ).dropna(how="all")
    except (ValueError, OSError, pd.errors.ParserWarning) as error:
        raise FileFormatError(f"{source} can't be read as a table of k-factors: {error}") from error
    missing = [name for name in ("line", "k_factor") if name not in table]
    if missing:
        raise FileFormatError(
            f"{source} has no column {' or '.join(missing)}; it has: {', '.join(table.columns)}. "
            "A table of k-factors begins with 'line,k_factor'."
        )
    if table["line"].isna().any():
        raise FileFormatError(f"{source} has a row that names no line.")
    names = [str(name).strip() for name in table["line"]]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FileFormatError(f"{source} names {', '.join(twice)} more than once.")
    values = pd.to_numeric(table["k_factor"], errors="coerce").to_numpy(float)
    wrong = [name for name, value in zip(names, values, strict=True) if not np.isfinite(value)]
    if wrong:
        raise FileFormatError(f"{source} has no number as the k-factor of {', '.join(wrong)}.")
    return dict(zip(names, values.tolist(), strict=True))


def checked_k_factors(
    lines: Sequence[str],
    k_factors: Mapping[str, float] | str | os.PathLike[str],
    errors: Mapping[str, float] | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    Look up k-factors and their errors.

    Parameters
    ----------
    lines : sequence of str
        X-ray lines.
    k_factors : mapping of str to float, or path-like
        k-factor of each line, or a table that :func:`read_k_factors` reads.
    errors : mapping of str to float, or None
        Standard errors of some or all of them.

    Returns
    -------
    values, errors : numpy.ndarray, shape (line,), float64
        Errors that are not given are 0.

    Raises
    ------
    ParameterError
        If factors are missing or not positive; the lines are named.
    SourceNotFoundError, FileFormatError
        If a table can't be read.
    """
    known = k_factors if isinstance(k_factors, Mapping) else read_k_factors(k_factors)
    missing = [name for name in lines if name not in known]
    if missing:
        raise ParameterError(
            f"There are no k-factors for {', '.join(missing)}. Give them, or leave these lines "
            f"out; there are some for {', '.join(known) or 'no line'}."
        )
    values = np.array([_number(known[name]) for name in lines])
    spreads = np.array([_number((errors or {}).get(name, 0.0)) for name in lines])
    for what, numbers, right in (
        ("k-factor", values, np.isfinite(values) & (values > 0)),
        ("error of the k-factor", spreads, np.isfinite(spreads) & (spreads >= 0)),
    ):
        wrong = [f"{lines[i]}: {numbers[i]}" for i in np.flatnonzero(~right).tolist()]
        if wrong:
            raise ParameterError(f"Not a positive {what}: {', '.join(wrong)}.")
    return values, spreads


def _number(value: object) -> float:
    """Give a number as it is, and NaN for what is none."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return float("nan")
