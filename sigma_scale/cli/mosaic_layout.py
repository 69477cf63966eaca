"""Where the options of the command say that tiles lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sigma_scale.cli.options import number_of, whole_numbers
from sigma_scale.errors import ParameterError

if TYPE_CHECKING:
    from pathlib import Path

    from sigma_scale.mosaic import GridRule, TileLayout

__all__ = ["given_layout"]

_MANIFESTS = (".csv", ".yaml", ".yml")


def given_layout(
    source: Path, options: dict[str, Any], chosen: dict[str, Any], unreadable: Any
) -> TileLayout:
    """
    Lay out the tiles of a folder or manifest as the command's options ask for it.

    Parameters
    ----------
    source : pathlib.Path
        Folder or manifest.
    options : dict
        Options of the files' reader.
    chosen : dict
        What the command's other options are, by their names.
    unreadable : {"raise", "skip"}
        What to do with tiles that can't be read.

    Returns
    -------
    TileLayout

    Raises
    ------
    ParameterError
        If options can't be, or don't go together.
    SigmaScaleError
        If the layout can't be made; see :class:`~sigma_scale.mosaic.TileLayout`.
    """
    from sigma_scale.mosaic import flip_layout

    layout = _unflipped(source, options, chosen, unreadable)
    return layout if chosen["flip"] is None else flip_layout(layout, chosen["flip"])


def _unflipped(
    source: Path, options: dict[str, Any], chosen: dict[str, Any], unreadable: Any
) -> TileLayout:
    from sigma_scale.mosaic import TileLayout

    rule = _rule(chosen)
    if source.suffix.lower() in _MANIFESTS:
        _refuse_with_manifest(source, options, chosen, rule)
        return TileLayout.read_manifest(source, unreadable=unreadable)
    axes = chosen["stage_axes"]
    extra = {} if axes is None else {"stage_axes": tuple(axes.replace(" ", "").split(","))}
    return TileLayout.from_folder(
        source,
        files=chosen["files"],
        grid=rule,
        positions=chosen["positions"],
        options=options or None,
        unreadable=unreadable,
        **extra,
    )


def _rule(chosen: dict[str, Any]) -> GridRule | None:
    from sigma_scale.mosaic import GridRule

    values = {
        name: chosen[name] for name in ("pattern", "order", "first") if chosen[name] is not None
    }
    if chosen["grid"] is not None:
        rows, columns = whole_numbers(chosen["grid"], name="--grid")
        values |= {"rows": rows, "columns": columns}
    if chosen["snake"]:
        values["snake"] = True
    if chosen["positions"] == "grid" and not values:
        raise ParameterError("--positions grid needs --grid ROWSxCOLUMNS or --pattern.")
    if not values and chosen["positions"] != "fields":
        if chosen["grid_overlap"] is not None:
            raise ParameterError(
                "--grid-overlap goes with --grid, --pattern or --positions fields."
            )
        return None
    if chosen["grid_overlap"] is not None:
        values["overlap"] = _shares(chosen["grid_overlap"])
    return GridRule(**values) if values else None


def _refuse_with_manifest(
    source: Path, options: dict[str, Any], chosen: dict[str, Any], rule: GridRule | None
) -> None:
    given = {
        "--files": chosen["files"],
        "--stage-axes": chosen["stage_axes"],
        "--positions": chosen["positions"] != "auto",
        "-O": options,
        "--grid and what goes with it": rule,
    }
    for name, value in given.items():
        if value:
            raise ParameterError(
                f"{name} is for folders; the manifest {source} says it for each tile."
            )


def _shares(text: str) -> float | tuple[float, float]:
    shares = [number_of(part.strip()) for part in text.split(",")]
    if not all(isinstance(share, float) for share in shares) or len(shares) not in {1, 2}:
        raise ParameterError(f"--grid-overlap takes a share such as 0.1, or y,x; not {text!r}.")
    return shares[0] if len(shares) == 1 else (shares[0], shares[1])
