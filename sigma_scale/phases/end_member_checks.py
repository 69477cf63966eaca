"""Whether end-members can unmix a map: their channels, values and independence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import ParameterError, ShapeMismatchError

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from sigma_scale.spectra import SpectrumImage

__all__ = ["checked_profiles", "end_member_array"]

_SAME = 0.01
"""Energies that differ by less than this part of a channel are the same."""

_INDEPENDENT = 1e-4
"""Smallest singular value of end-members of unit length, as a share of the largest."""

_INVOLVED = 0.1
"""Weight in what makes end-members singular, as a share of the largest, of those to be named."""

_DIMS = ("phase", "energy")


def end_member_array(
    end_members: xr.DataArray | pd.DataFrame, image: SpectrumImage
) -> xr.DataArray:
    """
    Bring end-members into one form, and check that they are of a map's channels.

    Parameters
    ----------
    end_members : xarray.DataArray, shape (phase, energy), or pandas.DataFrame
        Spectra such as ``phase_spectra(...)["mean"]``, or a table with a row per channel, its
        energy in keV as the index, and a column per end-member, as :func:`unmix` gives them.
    image : SpectrumImage
        The map; its energy axis is used.

    Returns
    -------
    xarray.DataArray, shape (phase, energy), float64
        With both coordinates; names of end-members, or their numbers where they have no names.

    Raises
    ------
    ShapeMismatchError
        If they have other channels than the map, by number or by energy.
    ParameterError
        If they have other dimensions, are no numbers, there are none, or two have the same name.
    """
    import pandas as pd
    import xarray as xr

    if isinstance(end_members, pd.DataFrame):
        values = _numbers(end_members.to_numpy().T)
        names: list[Any] = [str(name) for name in end_members.columns]
        numeric = end_members.index.dtype.kind in "iuf"
        given = end_members.index.to_numpy(np.float64) if numeric else None
    elif set(getattr(end_members, "dims", ())) == set(_DIMS) and hasattr(end_members, "to_numpy"):
        turned = end_members.transpose(*_DIMS)
        values = _numbers(turned.to_numpy())
        indexes = turned.indexes
        names = list(indexes["phase"]) if "phase" in indexes else list(range(len(values)))
        given = indexes["energy"].to_numpy() if "energy" in indexes else None
    else:
        given_dims = getattr(end_members, "dims", type(end_members).__name__)
        raise ParameterError(
            "End-members are an xarray.DataArray with the dimensions (phase, energy) or a table "
            f"as unmix gives it, got {given_dims}."
        )
    if len(values) == 0:
        raise ParameterError("There are no end-members. Give at least one.")
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        raise ParameterError(f"Two end-members have the same name: {', '.join(twice)}.")
    channels = image.coordinates()["energy"][1]
    if values.shape[1] != channels.size:
        raise ShapeMismatchError(
            f"The end-members have {values.shape[1]} channels, the map {channels.size}. Take them "
            "from the same map, or read them with read_end_members, which changes their channels."
        )
    # Not less or equal: energies that are NaN are none.
    if given is not None and not (np.abs(given - channels).max() <= _SAME * image.energy.scale_kev):
        raise ShapeMismatchError(
            f"The end-members' channels lie from {given[0]:.4g} to {given[-1]:.4g} keV, those of "
            f"the map from {channels[0]:.4g} to {channels[-1]:.4g} keV. Give both one calibration."
        )
    return xr.DataArray(
        values,
        dims=_DIMS,
        coords={"phase": names, "energy": ("energy", channels, {"units": "keV"})},
        name="end_member",
    )


def _numbers(values: NDArray[Any]) -> NDArray[np.float64]:
    if values.dtype.kind not in "fiub":
        raise ParameterError(f"End-members must be numbers, got {values.dtype}.")
    return values.astype(np.float64)


def checked_profiles(members: xr.DataArray, used: NDArray[np.bool_]) -> NDArray[np.float64]:
    """
    Scale end-members to a sum of 1 over the channels used.

    Parameters
    ----------
    members : xarray.DataArray, shape (phase, energy), float64
        End-members, as :func:`end_member_array` gives them.
    used : array, shape (energy,), bool
        Channels that count; at least one.

    Returns
    -------
    numpy.ndarray, shape (energy, phase), float64
        With zeros in the other channels.

    Raises
    ------
    ParameterError
        If end-members are negative, not numbers, empty in the channels used, or singular: so
        nearly sums of one another that no amounts can be told. It names which.
    """
    names = np.array([str(name) for name in members["phase"].to_numpy()])
    values = members.to_numpy()[:, used]
    spoilt = ~np.isfinite(values).all(axis=1)
    if spoilt.any():
        place = members["energy"].to_numpy()[used][~np.isfinite(values).all(axis=0)]
        raise ParameterError(
            f"The end-members {', '.join(names[spoilt])} have no numbers in {place.size} channels "
            f"between {place.min():.3f} and {place.max():.3f} keV. Leave that range out."
        )
    if (values < 0).any():
        raise ParameterError(
            f"The end-members {', '.join(names[(values < 0).any(axis=1)])} have negative values. "
            "Take spectra with their background, or set what is below zero to zero."
        )
    empty = ~values.any(axis=1)
    if empty.any():
        raise ParameterError(
            f"The end-members {', '.join(names[empty])} have no counts in the channels that are "
            "used. Leave them out."
        )
    # So that squares of very large or small numbers neither overflow nor vanish.
    values = values / values.max(axis=1, keepdims=True)
    _check_independent(values, names)
    profiles = np.zeros((used.size, len(values)))
    profiles[used] = (values / values.sum(axis=1, keepdims=True)).T
    return profiles


def _check_independent(values: NDArray[np.float64], names: NDArray[Any]) -> None:
    if len(values) > values.shape[1]:
        raise ParameterError(
            f"{len(values)} end-members can't be told apart by {values.shape[1]} channels. Use "
            "fewer end-members or more channels."
        )
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    _, sizes, mixtures = np.linalg.svd(unit.T, full_matrices=False)
    if sizes[-1] >= _INDEPENDENT * sizes[0]:
        return
    shares = np.abs(mixtures[-1])
    involved = names[shares > _INVOLVED * shares.max()]
    raise ParameterError(
        f"The end-members {', '.join(involved)} are singular: one is the sum of others, or the "
        "same but for its size, so that their amounts mean nothing. Leave one of them out, or "
        "merge them."
    )
