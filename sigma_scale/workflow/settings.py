"""Settings of the main job, from a command line or a YAML file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self

from sigma_scale.errors import ParameterError, SourceNotFoundError
from sigma_scale.files import yaml_fault

__all__ = ["RunSettings", "is_whole"]

_LATENT = {"n_neighbors": 15, "min_dist": 0.02, "n_landmarks": 20_000}
_SEEDS = 2**32


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """
    What the main job does with a map.

    Parameters
    ----------
    lines : tuple of str, optional
        X-ray lines to use as features. None: those that the file names, else those that its sum
        spectrum suggests.
    bin : tuple of int or "auto"
        Columns and rows of a bin (x, y). "auto": as few pixels as give a usable spectrum.
    normalise : bool
        Divide each spectrum by its sum.
    remove_below_kev : float, optional
        Set the channels below this energy to zero, after the normalisation. None: keep all.
    normalisation : tuple of str
        Steps on the feature maps: "neighbour_averaging", "zscore", "softmax". Averaging helps maps
        of few counts; where grains are small it makes a cluster of each kind of border.
    navigation : bool
        Take the navigation image as a further feature.
    latent : mapping
        Parameters of :class:`sigma_scale.latent.UMAP`. What is not given is ``n_neighbors=15``,
        ``min_dist=0.02``, ``n_landmarks=20_000``, and UMAP's own default for the rest.
    clustering : str
        "HDBSCAN", "GaussianMixture", "BayesianGaussianMixture", "KMeans", "MiniBatchKMeans" or
        "Birch". Where the binned map has more than four million pixels, it is fitted to a uniform
        sample of about that many, and every pixel is placed in it.
    clustering_args : mapping
        Parameters of the clustering. What is not given for HDBSCAN is ``min_samples=10`` and a
        ``min_cluster_size`` of 10 pixels or, if more, a two-thousandth of the binned map.
    n_end_members : int, optional
        Components of the unmixing of the phases' spectra. None: at most five.
    k_factors : mapping of str to float or path, optional
        k-factors of lines such as ``{"Fe_Ka": 1.2}``, or a table of them that
        :func:`sigma_scale.phases.read_k_factors` reads; it is read at once, so that the settings
        hold the numbers. None: no composition.
    random_state : int
        Seed of everything that is random.

    Raises
    ------
    ParameterError
        If a value is of the wrong kind.
    SourceNotFoundError, FileFormatError
        If a table of k-factors can't be read.
    """

    lines: tuple[str, ...] | None = None
    bin: tuple[int, int] | Literal["auto"] = "auto"
    normalise: bool = True
    remove_below_kev: float | None = 0.1
    normalisation: tuple[str, ...] = ("zscore",)
    navigation: bool = False
    latent: Mapping[str, Any] = field(default_factory=dict)
    clustering: str = "HDBSCAN"
    clustering_args: Mapping[str, Any] = field(default_factory=dict)
    n_end_members: int | None = None
    k_factors: Mapping[str, float] | str | Path | None = None
    random_state: int = 0

    def __post_init__(self) -> None:
        # Lists from YAML become tuples; a frozen dataclass needs this detour to set them.
        if self.lines is not None:
            object.__setattr__(self, "lines", _names("lines", self.lines))
        object.__setattr__(self, "normalisation", _names("normalisation", self.normalisation))
        object.__setattr__(self, "bin", _bin(self.bin))
        for name in ("latent", "clustering_args"):
            if not isinstance(getattr(self, name), Mapping):
                raise ParameterError(f"{name} must map names to values.")
        object.__setattr__(self, "latent", {**_LATENT, **self.latent})
        object.__setattr__(self, "clustering_args", dict(self.clustering_args))
        object.__setattr__(self, "k_factors", _k_factors(self.k_factors))
        for name in ("normalise", "navigation"):
            if not isinstance(getattr(self, name), bool):
                raise ParameterError(f"{name} must be true or false, not {getattr(self, name)!r}.")
        if not isinstance(self.clustering, str):
            raise ParameterError(f"clustering must be a method's name, not {self.clustering!r}.")
        if self.remove_below_kev is not None and not _is_number(self.remove_below_kev):
            raise ParameterError(
                f"remove_below_kev must be an energy in keV, not {self.remove_below_kev!r}."
            )
        if not is_whole(self.random_state) or not 0 <= self.random_state < _SEEDS:
            raise ParameterError(
                "random_state must be a whole number from 0 to 2^32 - 1, not "
                f"{self.random_state!r}."
            )
        if self.n_end_members is not None and not (
            is_whole(self.n_end_members) and self.n_end_members > 0
        ):
            raise ParameterError(
                f"n_end_members must be a whole number of 1 or more, not {self.n_end_members!r}."
            )

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """
        Make settings of names and values.

        Raises
        ------
        ParameterError
            If a name is unknown or a value of the wrong kind.
        """
        known = [f.name for f in fields(cls)]
        unknown = [str(name) for name in values if name not in known]
        if unknown:
            raise ParameterError(
                f"Unknown settings: {', '.join(unknown)}. There are: {', '.join(known)}."
            )
        return cls(**values)

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """
        Read settings from a YAML file.

        Raises
        ------
        SourceNotFoundError
            If there is no such file.
        ParameterError
            If it is not YAML, or not of settings.
        """
        return cls.from_mapping(read_yaml(path))

    def to_yaml(self) -> str:
        """Write the settings as YAML."""
        import yaml

        values = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }
        text: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
        return text


def read_yaml(path: str | Path) -> dict[str, Any]:
    """
    Read the names and values of a settings file.

    Raises
    ------
    SourceNotFoundError, ParameterError
        See :meth:`RunSettings.from_yaml`.
    """
    import yaml

    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SourceNotFoundError(f"There is no settings file {path}.") from error
    except yaml.YAMLError as error:
        raise ParameterError(
            f"The settings file {path} isn't valid YAML: {yaml_fault(error)}."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ParameterError(f"The settings file {path} can't be read: {error}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ParameterError(f"The settings file {path} must map names to values.")
    return values


def _names(what: str, values: object) -> tuple[str, ...]:
    if not isinstance(values, (list, tuple)) or not all(isinstance(v, str) for v in values):
        raise ParameterError(f"{what} must be a list of names, not {values!r}.")
    return tuple(values)


def _bin(value: object) -> object:
    if value == "auto":
        return value
    if not isinstance(value, (list, tuple)) or len(value) != 2 or not all(map(is_whole, value)):  # noqa: PLR2004
        raise ParameterError(f"bin must be 'auto' or two whole numbers (x, y), not {value!r}.")
    return tuple(value)


def _k_factors(value: object) -> dict[str, float] | None:
    if value is None:
        return None
    if isinstance(value, str | Path):
        from sigma_scale.phases import read_k_factors

        value = read_k_factors(value)
    if not isinstance(value, Mapping):
        raise ParameterError(f"k_factors must map lines to numbers, or be a path, not {value!r}.")
    wrong = [name for name, factor in value.items() if not _is_factor(factor)]
    if wrong:
        raise ParameterError(
            f"k_factors must be positive numbers; those of {', '.join(map(str, wrong))} are not."
        )
    return {str(name): float(factor) for name, factor in value.items()}


def is_whole(value: object) -> bool:
    """Whether a setting is a whole number, which no truth value is."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, float) or is_whole(value)


def _is_factor(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
