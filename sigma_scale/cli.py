"""The command `sigma-scale`: parse, call, report."""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

import sigma_scale
from sigma_scale import compute, config
from sigma_scale.errors import ParameterError, SigmaScaleError, SigmaScaleWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sigma_scale.workflow import PhaseMapping, RunSettings

__all__ = ["cli", "main"]

_BAD_INPUT = 2
_INTERRUPTED = 130


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
)
@click.version_option(sigma_scale.__version__, prog_name="sigma-scale")
@click.option("--quiet", is_flag=True, help="No progress bars and no remarks.")
@click.option("--memory-limit", metavar="SIZE", help="Memory that a step may take, such as 8GB.")
@click.pass_context
def cli(context: click.Context, *, quiet: bool, memory_limit: str | None) -> None:
    """Phase maps from X-ray spectrum images of any size."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
        return
    chosen: dict[str, Any] = {"progress": not quiet and sys.stderr.isatty()}
    if memory_limit:
        chosen["memory_limit"] = memory_limit
    config.options(**chosen)
    if memory_limit:
        compute.memory_limit()  # Whether it can be understood.
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("sigma_scale").setLevel(logging.WARNING if quiet else logging.INFO)


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
        click.option("--bin", "bin_", metavar="X,Y", help="Pixels per bin, or auto."),
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
        click.option("--clustering", metavar="METHOD", help="HDBSCAN or GaussianMixture."),
        click.option(
            "--cluster-arg",
            multiple=True,
            metavar="NAME=VALUE",
            help="Parameter of the clustering; repeatable.",
        ),
        click.option("--end-members", type=int, metavar="N", help="Components of the unmixing."),
        click.option("--seed", type=int, metavar="N", help="Seed of everything that is random."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@cli.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder for the results.")
@click.option("--overwrite", is_flag=True, help="Replace a folder of results that is there.")
@settings_options
def run(source: Path, output: Path | None, *, overwrite: bool, **chosen: Any) -> None:
    """Map the phases of SOURCE, a microscope's file or a store, and write a report."""
    from sigma_scale.workflow.job import run_job

    output = output or Path(f"{source.stem}-phases")
    result = run_job(source, _settings(chosen), output, overwrite=overwrite)
    _say_phases(result, output)


@cli.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("sigma-scale-demo"),
    show_default=True,
    help="Folder for the results.",
)
@click.option(
    "--side",
    type=click.IntRange(min=64),
    default=1024,
    show_default=True,
    help="Rows and columns of the map.",
)
@click.option("--overwrite", is_flag=True, help="Replace a folder of results that is there.")
@settings_options
def demo(output: Path, *, side: int, overwrite: bool, **chosen: Any) -> None:
    """Map the phases of a synthetic map and compare them with those it was made of."""
    from sigma_scale.workflow.job import run_demo

    # Grains of the demonstration meet in sharp borders, which averaging would only blur.
    settings = _settings(chosen, normalisation=["zscore"])
    found = run_demo(output, settings, side=side, overwrite=overwrite)
    _say_phases(found.result, output)
    click.echo(f"Agreement with the known phases (adjusted Rand index): {found.agreement:.3f}")


@cli.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("store_path", metavar="OUT.zarr", type=click.Path(path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace a store that is there.")
@click.option(
    "--compressor", type=click.Choice(["zstd", "lz4", "none"]), default="zstd", show_default=True
)
def ingest(source: Path, store_path: Path, *, overwrite: bool, compressor: Any) -> None:
    """Write the map of the file SOURCE to the store OUT.zarr."""
    from sigma_scale import readers, store

    image = readers.read(source)
    stored = store.write_map(
        image, store_path, overwrite=overwrite, encoding=store.Encoding(compressor)
    )
    rows, columns, channels = stored.shape
    click.echo(f"{store_path}: {columns:,} x {rows:,} pixels, {channels:,} channels")


@cli.command()
@click.argument("source", type=click.Path(path_type=Path))
def info(source: Path) -> None:
    """Say what SOURCE, a microscope's file or a store, holds."""
    from sigma_scale.workflow.describe import describe_map

    _say_table(describe_map(source))


@cli.command()
def doctor() -> None:
    """Say which versions, engines and how much memory there are."""
    from sigma_scale.workflow.describe import describe_installation

    _say_table(describe_installation())


def _settings(chosen: dict[str, Any], **defaults: Any) -> RunSettings:
    """Settings from a file, if one is named, changed by the options that are given."""
    from sigma_scale.workflow.settings import RunSettings, read_yaml

    file = chosen["settings_file"]
    values: dict[str, Any] = read_yaml(file) if file else defaults
    RunSettings.from_mapping(values)  # What is wrong in the file is said of the file alone.
    if chosen["lines"] is not None:
        values["lines"] = _list(chosen["lines"])
    if chosen["bin_"] is not None:
        values["bin"] = _bin(chosen["bin_"])
    if chosen["normalisation"] is not None:
        values["normalisation"] = _list(chosen["normalisation"])
    if chosen["clustering"] is not None and chosen["clustering"] != values.get("clustering"):
        values["clustering"] = chosen["clustering"]
        values["clustering_args"] = {}
    plain = {
        "remove_below": "remove_below_kev",
        "navigation": "navigation",
        "end_members": "n_end_members",
        "seed": "random_state",
    }
    values |= {name: chosen[option] for option, name in plain.items() if chosen[option] is not None}
    for option, name in (("latent", "latent"), ("cluster_arg", "clustering_args")):
        if chosen[option]:
            values[name] = {**values.get(name, {}), **_pairs(chosen[option])}
    return RunSettings.from_mapping(values)


def _list(text: str) -> list[str]:
    return [] if text == "none" else [part.strip() for part in text.split(",") if part.strip()]


def _bin(text: str) -> object:
    if text == "auto":
        return text
    try:
        return [int(part) for part in text.replace("x", ",").split(",")]
    except ValueError as error:
        raise ParameterError(f"--bin takes two whole numbers such as 2,2, not {text!r}.") from error


def _pairs(texts: Iterable[str]) -> dict[str, Any]:
    import yaml

    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ParameterError(f"Parameters are given as NAME=VALUE, not {text!r}.")
        try:
            pairs[name.strip()] = _number(yaml.safe_load(value))
        except yaml.YAMLError as error:
            raise ParameterError(f"The value of {text!r} can't be understood.") from error
    return pairs


def _number(value: Any) -> Any:
    """Read numbers such as 1e-3, which YAML takes for words: it wants 1.0e-3."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value


def _say_phases(result: PhaseMapping, output: Path) -> None:
    from sigma_scale.workflow.report import phase_table

    table = phase_table(result)
    click.echo(f"{'phase':>12}  {'area':>7}  elements")
    for label, row in table.iterrows():
        name = "not assigned" if int(str(label)) < 0 else str(label)
        elements = row["elements"] if isinstance(row["elements"], str) else ""
        click.echo(f"{name:>12}  {row['share']:>7.2%}  {elements}")
    click.echo(f"Report: {output / 'report.html'}")


def _say_table(rows: dict[str, str]) -> None:
    width = max(len(name) for name in rows)
    for name, value in rows.items():
        click.echo(f"{name:<{width}}  {value}")


def _note(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    if issubclass(category, SigmaScaleWarning):
        click.echo(f"Note: {message}", err=True)


def main(arguments: list[str] | None = None) -> None:
    """
    Run the command; errors of input end with one line and exit code 2.

    Warnings of libraries are kept from the terminal; ours are shown as notes.

    Parameters
    ----------
    arguments : list of str, optional
        What follows the command's name. None: the arguments of this process.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", SigmaScaleWarning)
        warnings.showwarning = _note
        try:
            cli.main(args=arguments, prog_name="sigma-scale", standalone_mode=False)
        except click.ClickException as error:
            context = error.ctx if isinstance(error, click.UsageError) else None
            hint = f" Try '{context.command_path} --help'." if context else ""
            _fail(error.format_message() + hint)
        except (click.Abort, KeyboardInterrupt):
            click.echo("Interrupted. Run the same command again to go on.", err=True)
            sys.exit(_INTERRUPTED)
        except (SigmaScaleError, OSError, MemoryError) as error:
            _fail(str(error) or type(error).__name__)


def _fail(message: str) -> NoReturn:
    click.echo(f"Error: {' '.join(message.split())}", err=True)
    sys.exit(_BAD_INPUT)


if __name__ == "__main__":
    main()
