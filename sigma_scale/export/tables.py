"""Tables as CSV or Parquet."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from sigma_scale.errors import EngineUnavailableError, ParameterError
from sigma_scale.export.target import check_target, has_ending, starts_with, write_whole

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["export_table"]

_CSV, _PARQUET = ".csv", ".parquet"
_PARQUET_BEGINS = b"PAR1"


def export_table(table: pd.DataFrame, path: str | Path, *, overwrite: bool = False) -> Path:
    """
    Write a table as CSV or Parquet.

    Parameters
    ----------
    table : pandas.DataFrame
        The table; its index is written too.
    path : path
        Where to; ``.csv`` (UTF-8, all digits, empty for NaN) or ``.parquet``, which keeps types
        and needs pyarrow.
    overwrite : bool, default: False
        Replace a file of that kind which is there.

    Returns
    -------
    pathlib.Path
        What was written.

    Raises
    ------
    ParameterError
        If the name has another ending, or Parquet has no type for a column.
    EngineUnavailableError
        If pyarrow is not installed and Parquet is asked for.
    OutputExistsError
        If something is at the path already that may not be replaced.
    StoreError
        If writing fails. Nothing is left behind then.
    """
    path = Path(path)
    has_ending(path, (_CSV, _PARQUET), "A table")
    if path.suffix.lower() == _CSV:
        check_target(path, overwrite=overwrite, replaceable=Path.is_file)
        return write_whole(path, lambda draft: _write_csv(draft, table), is_export=Path.is_file)
    if find_spec("pyarrow") is None:
        raise EngineUnavailableError(
            f"{path.name} can't be written: Parquet needs pyarrow, which is not installed. Install "
            "it with pip install 'sigma-scale[parquet]', or write a .csv."
        )
    check_target(path, overwrite=overwrite, replaceable=_is_parquet)
    return write_whole(path, lambda draft: _write_parquet(draft, table), is_export=_is_parquet)


def _is_parquet(path: Path) -> bool:
    return starts_with(path, _PARQUET_BEGINS)


def _write_csv(draft: Path, table: pd.DataFrame) -> None:
    # By handle: pandas would take endings such as .gz for a wish to compress.
    with draft.open("w", encoding="utf-8", newline="") as stream:
        table.to_csv(stream)


def _write_parquet(draft: Path, table: pd.DataFrame) -> None:
    # Parquet has texts for names only.
    named = table.rename(columns=str)
    try:  # The errors of pyarrow are these too.
        named.to_parquet(draft, engine="pyarrow")
    except (ValueError, TypeError, NotImplementedError) as error:
        raise ParameterError(
            f"Parquet can't hold this table: {error} Give each column values of one type, or "
            "write a .csv."
        ) from error
