"""What all datasets share: the feature list, feature maps and their normalisation."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from sigma_scale import preprocess
from sigma_scale.errors import ParameterError, SigmaScaleError, SigmaScaleWarning
from sigma_scale.features import append_navigation
from sigma_scale.features.navigation import NAVIGATOR
from sigma_scale.workflow import norm
from sigma_scale.workflow.datasets.steps import Steps, recipe
from sigma_scale.workflow.datasets.stored_maps import StoredMaps, loaded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr

    from sigma_scale.workflow.norm import Step

__all__ = ["FeatureDataset"]


class FeatureDataset(StoredMaps, ABC):
    """
    Maps of features, in a state that is kept as plain values.

    Every method checks its arguments first and changes the state only if they are good. Results
    are worked out from the state and the data as read when they are asked for, and kept until the
    state changes.

    Parameters
    ----------
    features : sequence of str
        Feature list to begin with.
    """

    REPLAYABLE: ClassVar[frozenset[str]] = frozenset(
        {
            "get_feature_maps_with_nav_img",
            "normalisation",
            "rebin_signal",
            "remove_NaN",
            "set_feature_list",
        }
    )
    """Methods that a recipe may call."""

    def __init__(self, features: Sequence[str]) -> None:
        self._first = Steps(features=tuple(features))
        self._steps = self._first
        self._cache: dict[str, Any] = {}

    def __repr__(self) -> str:
        rows, columns = self.shape
        features = ", ".join(self.feature_list) or "no features"
        return f"<{type(self).__name__}: {rows} x {columns} pixels, {features}>"

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the processed map."""

    @property
    @abstractmethod
    def nav_img(self) -> xr.DataArray | None:
        """Image for navigation on the grid of the map as read, or None."""

    @abstractmethod
    def _check(self, steps: Steps) -> None:
        """Refuse a state that can't be."""

    @abstractmethod
    def _check_features(self, names: tuple[str, ...]) -> None:
        """Refuse a list of features that can't be."""

    @abstractmethod
    def _feature_maps(self, features: tuple[str, ...]) -> xr.DataArray:
        """Maps of features of the processed map."""

    def _change(self, **changes: Any) -> None:
        """Go to another state if it can be."""
        self._go_to(replace(self._steps, **changes))

    def _go_to(self, steps: Steps) -> None:
        self._check(steps)
        if steps == self._steps:
            return
        unnormalised: dict[str, Any] = {"normalisation": None, "navigator": None}
        if replace(steps, **unnormalised) != replace(self._steps, **unnormalised):
            self._cache.clear()
        self._cache.pop("normalised", None)
        self._steps = steps

    @property
    def nav_img_bin(self) -> xr.DataArray | None:
        """Image for navigation summed over the bins; None before :meth:`rebin_signal`."""
        if self._steps.bin_size is None or self.nav_img is None:
            return None
        return preprocess.rebin_image(self.nav_img, self._steps.bin_size)

    @property
    def feature_list(self) -> list[str]:
        """
        Names of the features, with ``Navigator`` at the end where the image is one.

        Setting it is :meth:`set_feature_list`.
        """
        navigator = [] if self._steps.navigator is None else [NAVIGATOR]
        return [*self._steps.features, *navigator]

    @feature_list.setter
    def feature_list(self, names: Sequence[str]) -> None:
        self.set_feature_list(names)

    def set_feature_list(self, feature_list: Sequence[str]) -> None:
        """
        Choose the features.

        Parameters
        ----------
        feature_list : sequence of str
            Their names in the wanted order. ``Navigator`` may be among them, at the end, where it
            is a feature already; without it, it is none any more.

        Raises
        ------
        ParameterError
            If a name is not known or listed twice; nothing changes then.
        """
        names, navigator = self._checked(feature_list)
        self._change(features=names, navigator=navigator)

    def _checked(self, names: Sequence[str]) -> tuple[tuple[str, ...], tuple[Step, ...] | None]:
        """Features without the navigation image, and the steps on it where it is among them."""
        if isinstance(names, str):
            raise ParameterError(f"A feature list is a list of names, such as [{names!r}].")
        names = tuple(names)
        twice = sorted({str(name) for name in names if names.count(name) > 1})
        if twice:
            raise ParameterError(f"Each feature can be listed once; twice: {', '.join(twice)}.")
        navigator = None
        if NAVIGATOR in names:
            if self._steps.navigator is None or names[-1] != NAVIGATOR:
                raise ParameterError(
                    f"{NAVIGATOR} is no feature of its own: get_feature_maps_with_nav_img(...) "
                    "adds it at the end of the feature list."
                )
            names, navigator = names[:-1], self._steps.navigator
        self._check_features(names)
        return names, navigator

    @property
    def feature_maps(self) -> xr.DataArray:
        """
        Maps of the feature list before normalisation, shape (y, x, line).

        In memory where they fit the option ``memory_limit``, else lazy.
        """
        if not self._steps.features:
            raise ParameterError(
                "The feature list is empty. Call set_feature_list([...]) first, such as "
                "['O_Ka', 'Si_Ka']."
            )
        if "maps" not in self._cache:
            stored = self._stored_maps()
            made = None if stored is None else loaded(stored[0])
            self._cache["maps"] = self._feature_maps(self._steps.features) if made is None else made
        maps: xr.DataArray = self._cache["maps"]
        return maps

    def get_feature_maps(self, feature_list: Sequence[str] | None = None) -> Any:
        """
        Give maps of features before normalisation.

        Parameters
        ----------
        feature_list : sequence of str, optional
            Names in place of those of the feature list, which stays as it is.

        Returns
        -------
        numpy.ndarray, shape (y, x, feature)
            A dask array where the maps are lazy. :attr:`feature_maps` has labels as well.

        Raises
        ------
        ParameterError
            If there are no features, or a name is not known.
        """
        if feature_list is None:
            return self.feature_maps.data.copy()  # The user may change it.
        names = tuple(feature_list)
        self._check_features(names)
        return self._feature_maps(names).data

    def normalisation(self, norm_list: Sequence[Step] = ()) -> Any:
        """
        Normalise the feature maps; the navigation image is no feature afterwards.

        Parameters
        ----------
        norm_list : sequence of callable or str
            Steps in their order, such as ``[norm.neighbour_averaging, norm.zscore]``. A function
            of your own takes and gives an array of shape (y, x, feature).

        Returns
        -------
        numpy.ndarray, shape (y, x, feature), float32
            See :attr:`normalised_elemental_data`.

        Raises
        ------
        ParameterError
            If a step is not known, or the maps can't be normalised; nothing changes then.
        """
        steps = norm.check_steps(norm_list)
        return self._normalise(replace(self._steps, normalisation=steps, navigator=None))

    def get_feature_maps_with_nav_img(self, normalisation: Sequence[Step] = ()) -> Any:
        """
        Append the navigation image, resized to the map, as the feature ``Navigator``.

        Parameters
        ----------
        normalisation : sequence of callable or str
            Steps for the image. They should be those that :meth:`normalisation` was called with:
            grey values that aren't scaled like the lines outweigh all of them.

        Returns
        -------
        numpy.ndarray, shape (y, x, feature + 1), float32
            See :attr:`normalised_elemental_data`. Called again, it replaces the feature.

        Raises
        ------
        ParameterError
            If the maps are not normalised yet, there is no image, or a step is not known; nothing
            changes then.

        Warns
        -----
        SigmaScaleWarning
            If the steps aren't those of the other features.
        """
        self._require_normalisation()
        if self.nav_img is None:
            raise ParameterError("There is no navigation image to take as a feature.")
        steps = norm.check_steps(normalisation)
        maps = self._normalise(replace(self._steps, navigator=steps))
        ours, theirs = norm.step_names(steps), norm.step_names(self._steps.normalisation or ())
        if ours != theirs:
            warnings.warn(
                f"The navigation image was normalised by {', '.join(ours) or 'nothing'}, the other "
                f"features by {', '.join(theirs) or 'nothing'}: it may outweigh them.",
                SigmaScaleWarning,
                stacklevel=2,
            )
        return maps

    def _normalise(self, steps: Steps) -> Any:
        """Work the maps out before the state changes."""
        maps = self._normalised_maps(steps)
        self._go_to(steps)
        self._cache["normalised"] = maps
        return maps.data

    def _normalised_maps(self, steps: Steps) -> xr.DataArray:
        maps = norm.apply_steps(self._comparable(self.feature_maps), steps.normalisation or ())
        if steps.navigator is None or self.nav_img is None:
            return maps
        navigation = self._without_gaps(self.nav_img)
        return append_navigation(maps, navigation, norm.labelled_steps(steps.navigator))

    def _comparable(self, maps: xr.DataArray) -> xr.DataArray:
        """Feature maps in which differences between tiles of a mosaic are corrected."""
        return maps

    def _without_gaps(self, navigation: xr.DataArray) -> xr.DataArray:
        """Navigation image that is NaN in the gaps of a mosaic."""
        return navigation

    def _require_normalisation(self) -> None:
        if self._steps.normalisation is None:
            raise ParameterError(
                "The feature maps are not normalised yet. Call normalisation([...]) first, such as "
                "normalisation([norm.neighbour_averaging, norm.zscore])."
            )

    @property
    def normalised_maps(self) -> xr.DataArray:
        """Normalised feature maps with their labels, shape (y, x, line), float32."""
        self._require_normalisation()
        if "normalised" not in self._cache:
            stored = self.stored_features
            made = self._normalised_maps(self._steps) if stored is None else loaded(stored)
            self._cache["normalised"] = made
        maps: xr.DataArray = self._cache["normalised"]
        return maps

    @property
    def normalised_elemental_data(self) -> Any:
        """
        Normalised feature maps, shape (y, x, feature), float32.

        A NumPy array; a dask array where the maps don't fit the option ``memory_limit``. They
        follow the state: after another binning they are those of the new bins.
        """
        return self.normalised_maps.data

    def recipe(self) -> list[dict[str, Any]]:
        """
        List the methods to call on the data as read to come to this state.

        Returns
        -------
        list of dict
            ``"method"`` and ``"arguments"``, JSON types only; see :meth:`replay`. A function of
            your own is listed by its module and name, and can't be replayed.
        """
        return recipe(self._steps)

    def replay(self, recipe: Sequence[Mapping[str, Any]]) -> None:
        """
        Call the methods of a recipe one after the other.

        Parameters
        ----------
        recipe : sequence of mapping
            As :meth:`recipe` gives it.

        Raises
        ------
        ParameterError
            If it names what can't be replayed; nothing changes then, as with any other error.
        """
        before = self._steps
        try:
            for record in recipe:
                self._call(record)
        except SigmaScaleError:
            self._go_to(before)
            raise

    def _call(self, record: Mapping[str, Any]) -> None:
        method, arguments = record.get("method"), record.get("arguments", {})
        if method not in self.REPLAYABLE:
            raise ParameterError(
                f"A recipe can't call {method!r}; there are: {', '.join(sorted(self.REPLAYABLE))}."
            )
        try:
            getattr(self, str(method))(**arguments)
        except TypeError as error:
            raise ParameterError(f"The recipe's step {dict(record)} can't be: {error}") from error

    def reset(self) -> None:
        """Forget all steps; what was read stays."""
        self._go_to(self._first)
