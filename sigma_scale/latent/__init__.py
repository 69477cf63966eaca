"""Latent spaces: models fitted on landmarks and applied to every pixel on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sigma_scale._lazy import lazy_exports

if TYPE_CHECKING:
    from sigma_scale.latent.autoencoder import AutoEncoder, VariationalAutoEncoder, same_seeds
    from sigma_scale.latent.embed import embed
    from sigma_scale.latent.landmarks import choose_landmarks
    from sigma_scale.latent.umap import UMAP

__all__ = [
    "UMAP",
    "AutoEncoder",
    "VariationalAutoEncoder",
    "choose_landmarks",
    "embed",
    "same_seeds",
]

__getattr__, __dir__, _ = lazy_exports(
    __name__,
    {
        "UMAP": "umap",
        "AutoEncoder": "autoencoder",
        "VariationalAutoEncoder": "autoencoder",
        "choose_landmarks": "landmarks",
        "embed": "embed",
        "same_seeds": "autoencoder",
    },
)
