"""Options that several commands share, and what their texts mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sigma_scale.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sigma_scale.store import Location
    from sigma_scale.workflow import RunSettings

__all__ = [
    "LOCAL",
    "PATH_OR_URL",
    "bins_of",
    "check_store_name",
    "list_of",
    "pairs",
    "reader_option",
    "settings_of",
    "settings_options",
    "whole_numbers",
]


class _PathOrUrl(click.ParamType):  # type: ignore[type-arg]
    """A path, or the URL of a store; a path type would make ``s3:/a`` of ``s3://a``."""

    name = "path"

    def __init__(self, *, local: str | None = None) -> None:
        self._local = local
        """What a value is called that must not be elsewhere than on this machine."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Location:
        from sigma_scale.store import local_path, locate

        try:
            return locate(value) if self._local is None else local_path(value, self._local)
        except ParameterError as error:
            self.fail(str(error), param, ctx)


PATH_OR_URL = _PathOrUrl()
"""A file, or a store in a folder or at a URL."""
LOCAL = _PathOrUrl(local="Results")
"""A file or folder of this machine."""

reader_option = click.option(
    "-O",
    "--option",
    multiple=True,
    metavar="NAME=VALUE",
    help="What to read of SOURCE, such as index=1 for its second map; repeatable.",
)


def settings_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that choose what the main job does."""
    options = [
        click.option(
            "--settings",
            "settings_file",
            type=click.Path(path_type=Path),
            help="YAML file of settings, such as `run` writes; further options change it.",
        ),
        click.option("--lines", metavar="A,B,...", help="X-ray lines, such as O_Ka,Si_Ka."),
        click.option(
            "--bin", "bin_", metavar="X,Y", help="Pixels per bin, such as 2,2 or 2; or auto."
        ),
        click.option(
            "--normalisation",
            metavar="A,B,...",
            help="Steps on feature maps: neighbour_averaging, zscore, softmax; or none.",
        ),
        click.option(
            "--remove-below", metavar="KEV", type=float, help="Cut off the zero-energy peak here."
        ),
        click.option(
            "--navigation/--no-navigation",
            default=None,
            help="Use the navigation image as a feature.",
        ),
        click.option(
            "--latent", multiple=True, metavar="NAME=VALUE", help="Parameter of UMAP; repeatable."
        ),
        click.option(
            "--clustering",
            metavar="METHOD",
            help="HDBSCAN, GaussianMixture, BayesianGaussianMixture, KMeans, MiniBatchKMeans or "
            "Birch.",
        ),
        click.option(
            "--cluster-arg",
            multiple=True,
            metavar="NAME=VALUE",
            help="Parameter of the clustering; repeatable.",
        ),
        click.option("--end-members", type=int, metavar="N", help="Components of the unmixing."),
        click.option(
            "--k-factors",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Table of k-factors (columns line, k_factor): adds compositions, of SEM data "
            "relative ones only.",
        ),
        click.option("--seed", type=int, metavar="N", help="Seed of everything that is random."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def settings_of(chosen: dict[str, Any]) -> RunSettings:
    """Settings from a file, if one is named, changed by the options that are given."""
    from sigma_scale.workflow.settings import RunSettings, read_yaml

    file = chosen["settings_file"]
    values: dict[str, Any] = read_yaml(file) if file else {}
    RunSettings.from_mapping(values)  # What is wrong in the file is said of the file alone.
    if chosen["lines"] is not None:
        values["lines"] = list_of(chosen["lines"])
    if chosen["bin_"] is not None:
        values["bin"] = bin_of(chosen["bin_"])
    if chosen["normalisation"] is not None:
        values["normalisation"] = list_of(chosen["normalisation"])
    if chosen["clustering"] is not None and chosen["clustering"] != values.get("clustering"):
        values["clustering"] = chosen["clustering"]
        values["clustering_args"] = {}
    plain = {
        "remove_below": "remove_below_kev",
        "navigation": "navigation",
        "end_members": "n_end_members",
        "seed": "random_state",
        "k_factors": "k_factors",
    }
    values |= {name: chosen[option] for option, name in plain.items() if chosen[option] is not None}
    for option, name in (("latent", "latent"), ("cluster_arg", "clustering_args")):
        if chosen[option]:
            values[name] = {**values.get(name, {}), **pairs(chosen[option])}
    return RunSettings.from_mapping(values)


def check_store_name(path: Location) -> None:
    """
    Refuse to make a store under a name that says that it is something else.

    Raises
    ------
    ParameterError
        If the name has another ending than .zarr, and no store is there that has it already.
    """
    from sigma_scale.store import is_store

    # A name such as map_1.5 has no ending that anyone could take for a format.
    if path.suffix.lower() == ".zarr" or not path.suffix[1:2].isalpha() or is_store(path):
        return
    raise ParameterError(
        f"A store's name ends in .zarr, not in {path.suffix} as {path} does. Call it "
        f"{path.with_name(f'{path.stem}.zarr')}."
    )


def list_of(text: str) -> list[str]:
    """Split a text at its commas; "none" is an empty list."""
    return [] if text == "none" else [part.strip() for part in text.split(",") if part.strip()]


def bin_of(text: str) -> object:
    return text if text == "auto" else list(bins_of(text))


def bins_of(text: str) -> tuple[int, int]:
    """
    Read the size of bins, such as ``2,3``, or ``2`` for ``2,2``.

    Raises
    ------
    ParameterError
        If there is something else.
    """
    return whole_numbers(f"{text},{text}" if text.strip().isdecimal() else text)


def whole_numbers(text: str, name: str = "--bin") -> tuple[int, int]:
    """
    Read two whole numbers such as ``2,3`` or ``2x3``.

    Raises
    ------
    ParameterError
        If there is something else.
    """
    try:
        x, y = (int(part) for part in text.replace("x", ",").split(","))
    except ValueError as error:
        raise ParameterError(
            f"{name} takes two whole numbers such as 2,2, not {text!r}."
        ) from error
    return x, y


def pairs(texts: Iterable[str]) -> dict[str, Any]:
    """
    Read texts such as ``name=value``, the value as YAML would.

    Raises
    ------
    ParameterError
        If a text has no equals sign, or a value can't be understood.
    """
    import yaml

    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ParameterError(f"Parameters are given as NAME=VALUE, not {text!r}.")
        try:
            pairs[name.strip()] = number_of(yaml.safe_load(value))
        except yaml.YAMLError as error:
            raise ParameterError(f"The value of {text!r} can't be understood.") from error
    return pairs


def number_of(value: Any) -> Any:
    """Read numbers such as 1e-3, which YAML takes for words: it wants 1.0e-3."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value
