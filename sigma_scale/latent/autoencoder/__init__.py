"""Autoencoders: networks, their training on tensors, checkpoints, and latent spaces in blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sigma_scale._lazy import lazy_exports

if TYPE_CHECKING:
    from sigma_scale.latent.autoencoder.encoding import encode
    from sigma_scale.latent.autoencoder.networks import AutoEncoder, VariationalAutoEncoder
    from sigma_scale.latent.autoencoder.seeds import same_seeds
    from sigma_scale.latent.autoencoder.settings import TrainingSettings
    from sigma_scale.latent.autoencoder.training import Trainer

__all__ = [
    "AutoEncoder",
    "Trainer",
    "TrainingSettings",
    "VariationalAutoEncoder",
    "encode",
    "same_seeds",
]

__getattr__, __dir__, _ = lazy_exports(
    __name__,
    {
        "AutoEncoder": "networks",
        "Trainer": "training",
        "TrainingSettings": "settings",
        "VariationalAutoEncoder": "networks",
        "encode": "encoding",
        "same_seeds": "seeds",
    },
)
