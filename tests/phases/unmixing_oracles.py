"""Spectra to unmix, and what scipy makes of them."""

from __future__ import annotations

import numpy as np
import scipy.optimize as so
import xarray as xr

from sigma_scale.spectra import EnergyAxis

CHANNELS = 60
AXIS = EnergyAxis(CHANNELS, 0.05, 0.1)


def peaks(n_members: int, *, seed: int = 0) -> xr.DataArray:
    """Peaks on a falling background, of different sums."""
    rng = np.random.default_rng(seed)
    channels = np.arange(CHANNELS)
    centres = rng.uniform(5, CHANNELS - 5, (n_members, 3, 1))
    heights = rng.uniform(1, 9, (n_members, 3, 1))
    spectra = (heights * np.exp(-((channels - centres) ** 2) / 8)).sum(axis=1) + 0.3
    spectra *= rng.uniform(0.1, 10, (n_members, 1))
    names = [f"phase {i}" for i in range(n_members)]
    return xr.DataArray(spectra, dims=("phase", "energy"), coords={"phase": names})


def drawn(members: xr.DataArray, shape: tuple[int, int], *, counts: float = 60, seed=1):
    """Poisson counts of mixtures, with pixels without any."""
    rng = np.random.default_rng(seed)
    profiles = members / members.sum("energy")
    amounts = rng.dirichlet(np.full(len(members), 0.4), shape) * counts
    dense = rng.poisson(amounts @ profiles.to_numpy())
    dense[0, :2] = 0
    return dense.astype(np.uint8)


def oracle_least_squares(members, dense, used=None):
    """Scipy's amounts as counts, and the root mean square."""
    used = np.ones(CHANNELS, bool) if used is None else used
    spectra = np.asarray(members)[:, used].T
    flat = dense.reshape(-1, CHANNELS)[:, used].astype(float)
    fits = [so.nnls(spectra, spectrum) for spectrum in flat]
    amounts = np.array([fit[0] for fit in fits]) * spectra.sum(axis=0)
    residual = np.array([fit[1] for fit in fits]) / np.sqrt(used.sum())
    return amounts.reshape(*dense.shape[:2], -1), residual.reshape(dense.shape[:2])


def deviance(amounts, profiles, spectrum):
    """Negative log-likelihood of Poisson counts, less what doesn't depend on the amounts."""
    model = profiles @ amounts
    seen = spectrum > 0
    if (model[seen] <= 0).any():
        return np.inf
    return model.sum() - (spectrum[seen] * np.log(model[seen])).sum()


def oracle_poisson(members, spectrum):
    """Amounts in counts of the largest likelihood, by a general minimiser."""
    profiles = np.asarray(members / members.sum("energy")).T
    seen = spectrum > 0

    def slope(amounts):
        return 1 - profiles[seen].T @ (spectrum[seen] / (profiles[seen] @ amounts))

    start = np.full(len(members), spectrum.sum() / len(members))
    best = so.minimize(
        deviance,
        start,
        args=(profiles, spectrum),
        jac=lambda amounts, *_: slope(amounts),
        method="L-BFGS-B",
        bounds=[(1e-12, None)] * len(members),
        options={"maxiter": 5000, "ftol": 1e-15, "gtol": 1e-10},
    )
    return best.x, best.fun
