"""The command that puts the tiles of a stage scan together."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sigma_scale.cli.options import (
    LOCAL,
    PATH_OR_URL,
    check_store_name,
    pairs,
    reader_option,
)
from sigma_scale.errors import OutputExistsError, ParameterError, SourceNotFoundError
from sigma_scale.files import save_file

if TYPE_CHECKING:
    from sigma_scale.mosaic import Registration, TileLayout
    from sigma_scale.store import Location

__all__ = ["check_mosaic", "mosaic"]


@click.command()
@click.argument("source", type=LOCAL)
@click.argument("store_path", metavar="OUT.zarr", type=PATH_OR_URL)
@click.option("--files", metavar="PATTERN", help="Which files of the folder, such as *.bcf.")
@click.option(
    "--positions",
    type=click.Choice(["auto", "stage", "fields", "grid"]),
    default="auto",
    show_default=True,
    help="Where places come from: the stage, montage fields of H5OINA files, or a grid.",
)
@click.option("--stage-axes", metavar="Y,X", help="Stage axes down and right; usually -y,x.")
@click.option("--grid", metavar="ROWSxCOLUMNS", help="Size of the grid of tiles.")
@click.option(
    "--pattern", metavar="TEXT", help="Names of tiles, such as map_{row}_{column} or map {index}."
)
@click.option(
    "--order",
    type=click.Choice(["row-wise", "column-wise"]),
    help="How tiles are counted; row-wise if not said.",
)
@click.option("--snake", is_flag=True, help="Every second row (or column) was taken backwards.")
@click.option("--first", type=int, metavar="N", help="Number of the first row, column or index.")
@click.option(
    "--grid-overlap",
    metavar="SHARE",
    help="Share of a tile in common with the next, by y,x or for both; 0.1 if not said.",
)
@click.option(
    "--flip",
    type=click.Choice(["x", "y", "xy", "swap", "swap-x", "swap-y", "swap-xy"]),
    help="Mirror the tiles' places along an axis; swap: exchange y and x before.",
)
@click.option(
    "--overlap",
    type=click.Choice(["seam", "sum"]),
    help="Where tiles overlap: counts of one tile (seam, if not said), or the sum.",
)
@click.option("--no-register", is_flag=True, help="Keep the given positions.")
@click.option("--search", type=float, metavar="PIXELS", help="How far positions may be wrong.")
@click.option(
    "--image", default="auto", metavar="NAME", help="Image or line to compare, or total counts."
)
@click.option(
    "--tolerance",
    type=float,
    default=2.0,
    show_default=True,
    metavar="PIXELS",
    help="How far a pair of tiles may be from the common solution.",
)
@click.option("--plan-only", is_flag=True, help="Stop after the list and picture of the tiles.")
@click.option("--skip-unreadable", is_flag=True, help="Leave out tiles that can't be read.")
@click.option("--add", is_flag=True, help="Add tiles to the mosaic OUT.zarr.")
@click.option(
    "--tile-folder",
    type=LOCAL,
    help="Where each tile's own store goes; OUT.tiles if not said.",
)
@click.option("--discard-tiles", is_flag=True, help="Remove the tiles' own stores at the end.")
@click.option("--overwrite", is_flag=True, help="Replace a store that is there.")
@click.option(
    "--compressor", type=click.Choice(["zstd", "lz4", "none"]), default="zstd", show_default=True
)
@reader_option
def mosaic(source: Path, store_path: Location, *, option: tuple[str, ...], **chosen: Any) -> None:
    """
    Put the tiles of SOURCE together to one map, in the store OUT.zarr.

    SOURCE is a folder with a file or store for each tile, or a manifest (.csv, .yaml) that lists
    them with their places. Places are refined by what tiles see in common where they overlap.
    OUT.tiles.csv, a manifest with the final places, and OUT.layout.png, their picture, are written
    before the long work starts. A manifest can be edited and given as SOURCE.

    An interrupted mosaic goes on where it stopped when the same command is given again.
    """
    job = _Job(source, store_path, pairs(option), chosen)
    placed = job.placed()
    if placed is None:
        click.echo(f"{store_path} holds these tiles already.")
        return
    job.say(placed)
    if not chosen["plan_only"]:
        job.write(placed)


def check_mosaic(
    source: Path, store_path: Location, *, option: tuple[str, ...], **chosen: Any
) -> None:
    """Refuse before anything is started or read what would fail after hours."""
    check_store_name(store_path)
    _Job(source, store_path, pairs(option), chosen).check()


@dataclass(frozen=True)
class _Job:
    source: Path
    target: Location
    options: dict[str, Any]
    chosen: dict[str, Any]

    @property
    def manifest(self) -> Path:
        return self._beside(".tiles.csv")

    @property
    def picture(self) -> Path:
        return self._beside(".layout.png")

    @property
    def tile_folder(self) -> Path:
        folder: Path | None = self.chosen["tile_folder"]
        return folder or self._beside(".tiles")

    def _beside(self, ending: str) -> Path:
        """Name beside the store; of one in an object store, in the current folder."""
        name = self.target.name.removesuffix(".zarr") + ending
        return self.target.with_name(name) if isinstance(self.target, Path) else Path(name)

    @property
    def unreadable(self) -> Any:
        return "skip" if self.chosen["skip_unreadable"] else "raise"

    def check(self) -> None:
        """Refuse at once what would fail after hours."""
        from sigma_scale import store
        from sigma_scale.mosaic.writing import mosaic_attrs, restore_replaced

        restore_replaced(self.target)
        if self.chosen["add"]:
            if not self.target.exists():
                raise SourceNotFoundError(
                    f"There is no mosaic {self.target} to add tiles to. Leave --add out."
                )
            mosaic_attrs(self.target)
            if not isinstance(self.target, Path):
                raise ParameterError(
                    f"Tiles can't be added to {self.target} in place: objects can't be renamed. "
                    "Make a new mosaic of all tiles under another name."
                )
            if not self.manifest.is_file():
                raise SourceNotFoundError(
                    f"The manifest {self.manifest}, which lists the tiles of {self.target}, is "
                    "missing. Put it back, or give a manifest of all tiles and --overwrite."
                )
        elif self.target.exists() and not store.is_store(self.target):
            raise OutputExistsError(
                f"{self.target} exists and is not a store of sigma-scale. Choose another name."
            )
        files = self.chosen["files"]
        folder = self.target.parent if isinstance(self.target, Path) else None
        inside = folder is not None and folder.resolve() == self.source.resolve()
        if inside and (files is None or Path(self.target.name).match(files)):
            raise ParameterError(
                f"{self.target} would lie among its tiles and be taken for one. Choose a place "
                f"outside the folder {self.source}, or say which files are tiles by --files."
            )

    def placed(self) -> TileLayout | Registration | None:
        """Lay tiles out, compare their overlaps, and write both down; None: nothing is to do."""
        from sigma_scale.errors import SigmaScaleError
        from sigma_scale.mosaic import register
        from sigma_scale.mosaic.adding import add_tiles, register_added

        layout, kept = self._given(), frozenset[str]()
        if self.chosen["add"]:
            before = self._before()
            layout = add_tiles(before, layout)
            if layout is before:
                return None
            kept = frozenset(tile.name for tile in before)
        if self.chosen["no_register"] or len(layout) == 1:
            self._note(layout)
            return layout
        try:
            how = {name: self.chosen[name] for name in ("image", "search", "tolerance")}
            registration = register_added(layout, kept, **how) if kept else register(layout, **how)
        except ParameterError as error:
            self._note(layout, list_them=not kept)
            raise ParameterError(
                f"{error} The layout as it was given is drawn in {self.picture}; --no-register "
                "keeps it."
            ) from error
        except SigmaScaleError:
            self._note(layout, list_them=not kept)
            raise
        self._note(registration)
        return registration

    def _before(self) -> TileLayout:
        """Tiles of the mosaic; the manifest may list more, if adding them was interrupted."""
        from sigma_scale.mosaic import TileLayout
        from sigma_scale.mosaic.writing import mosaic_attrs

        names = [tile["name"] for tile in mosaic_attrs(self.target)["layout"]["tiles"]]
        listed = TileLayout.read_manifest(self.manifest)
        missing = set(names) - {tile.name for tile in listed}
        if missing:
            raise ParameterError(
                f"{self.manifest} doesn't list the tile {min(missing)!r} of {self.target}. Put it "
                "back, or give a manifest of all tiles and --overwrite."
            )
        return replace(listed, tiles=tuple(listed[name] for name in names))

    def _overlap(self) -> Any:
        from sigma_scale.mosaic.writing import mosaic_attrs

        if self.chosen["overlap"] is None and self.chosen["add"]:
            return mosaic_attrs(self.target)["plan"]["overlap"]
        return self.chosen["overlap"] or "seam"

    def _given(self) -> TileLayout:
        from sigma_scale.cli.mosaic_layout import given_layout

        return given_layout(self.source, self.options, self.chosen, self.unreadable)

    def _note(self, placed: TileLayout | Registration, *, list_them: bool = True) -> None:
        """Write the manifest and the picture; a manifest that says something else is kept aside."""
        from sigma_scale.mosaic.overview import layout_of
        from sigma_scale.plot.figures import save_figure
        from sigma_scale.plot.mosaic_layout import plot_mosaic_layout

        layout = layout_of(placed)
        if list_them:
            before = self.manifest.read_bytes() if self.manifest.is_file() else None
            layout.write_manifest(self.manifest, overwrite=True)
            if before is not None and before != self.manifest.read_bytes():
                aside = self._beside(".tiles.previous.csv")
                save_file(aside, before)
                click.echo(f"Note: the manifest that was there is now {aside}.", err=True)
        registered = None if placed is layout else placed
        save_figure(
            plot_mosaic_layout(
                layout,
                getattr(registered, "pairs", None),
                unmatched=getattr(registered, "unmatched", ()),
                title=self.target.name,
            ),
            self.picture,
        )

    def say(self, placed: TileLayout | Registration) -> None:
        """Tell what the mosaic will be, and where it is written down."""
        from sigma_scale.mosaic.overview import describe_mosaic

        lines = describe_mosaic(placed)
        places = f"{self.manifest} (can be edited and given as SOURCE)"
        lines |= {"Places": places, "Picture": str(self.picture)}
        width = max(map(len, lines))
        for name, text in lines.items():
            click.echo(f"{name:<{width}}  {text}")

    def write(self, placed: TileLayout | Registration) -> None:
        """Write each tile to its store, and the mosaic of them."""
        from sigma_scale import store
        from sigma_scale.mosaic.ingest import ingest_tiles
        from sigma_scale.mosaic.overview import layout_of
        from sigma_scale.mosaic.writing import write_mosaic

        encoding = store.Encoding(self.chosen["compressor"])
        overwrite = self.chosen["overwrite"]
        given = layout_of(placed)
        request = self._request(given)
        if not overwrite and self._holds(request):
            # Known without the tiles' stores, which may have been discarded.
            click.echo(f"{self.target} holds this mosaic already.")
            return
        stored = ingest_tiles(
            placed,
            self.tile_folder,
            encoding=encoding,
            unreadable=self.unreadable,
            overwrite=overwrite,
        )
        image = write_mosaic(
            stored,
            self.target,
            overlap=self._overlap(),
            overwrite=overwrite or self.chosen["add"],
            reuse=not overwrite,
            encoding=encoding,
            about={"request": request},
        )
        rows, columns, channels = image.shape
        click.echo(f"{self.target}: {columns:,} x {rows:,} pixels, {channels:,} channels")
        self._clear(given, layout_of(stored))

    def _request(self, layout: TileLayout) -> str:
        """What tells this mosaic from others, by its tiles' files and places."""
        from sigma_scale.files import fingerprint_of

        rows = [
            # Besides what is in the file, whether others that belong to it were changed.
            [
                tile.name,
                fingerprint_of(tile.path),
                tile.stamp,
                repr(sorted(tile.options.items())),
                *place,
            ]
            for tile, place in zip(layout, layout.offsets.tolist(), strict=True)
            if tile.path is not None
        ]
        text = json.dumps([self._overlap(), self.chosen["compressor"], rows])
        return hashlib.sha256(text.encode()).hexdigest()

    def _holds(self, request: str) -> bool:
        from sigma_scale import store
        from sigma_scale.mosaic.writing import MOSAIC
        from sigma_scale.store.layout import open_group, state_of

        if not store.is_store(self.target):
            return False
        attrs = open_group(self.target, unfinished=True).attrs
        about: Any = attrs.get(MOSAIC, {})
        return state_of(dict(attrs)) == "complete" and about.get("request") == request

    def _clear(self, given: TileLayout, stored: TileLayout) -> None:
        if not self.chosen["discard_tiles"]:
            return
        own = {tile.path for tile in given}
        made = [tile.path for tile in stored if tile.path is not None and tile.path not in own]
        for path in made:
            shutil.rmtree(path)
        if made and not any(self.tile_folder.iterdir()):
            self.tile_folder.rmdir()
