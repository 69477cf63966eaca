"""Autoencoders as PyTorch modules."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any

from sigma_scale.errors import EngineUnavailableError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch.nn import Module
else:
    try:
        from sigma_scale.latent.autoencoder.engine import torch
    except EngineUnavailableError as error:
        # The classes below can be imported and named all the same, as in a list of imports.
        from sigma_scale.latent.autoencoder.absent import stand_in

        Module = stand_in(str(error))
    else:
        Module = torch.nn.Module

__all__ = ["AutoEncoder", "VariationalAutoEncoder"]

_SLOPE = 0.02  # of the leaky rectifier below zero
_OUTPUTS = ("softmax", "linear")


class AutoEncoder(Module):
    """
    Network that squeezes feature vectors through a few latent numbers.

    Features -> hidden layers -> latent numbers -> the hidden layers in reverse -> features. Each
    hidden layer is linear, then normalised over its neurons, then a leaky rectifier of slope
    0.02; the output passes a softmax.

    Parameters
    ----------
    n_features : int
        Length of a feature vector.
    hidden_layer_sizes : sequence of int, default: (512, 256, 128)
        Neurons of the encoder's hidden layers.
    n_components : int, default: 2
        Dimensions of the latent space.
    output : {"softmax", "linear"}, default: "softmax"
        What the output passes. A softmax gives shares that sum to one; with ``"linear"`` the
        network can also reproduce values that don't, such as z-scores.

    Raises
    ------
    ParameterError
        If a size is not a positive integer or ``output`` is unknown.
    EngineUnavailableError
        If PyTorch or safetensors is missing.

    Notes
    -----
    A model of one's own fits in where it is called as ``model(n_features, **model_args)``, gives
    the reconstruction (or the reconstruction, the mean and the log-variance) of a batch, and
    has a method ``encode`` that gives the latent numbers.
    """

    def __init__(
        self,
        n_features: int,
        hidden_layer_sizes: Sequence[int] = (512, 256, 128),
        n_components: int = 2,
        output: str = "softmax",
    ) -> None:
        super().__init__()
        hidden = _checked_sizes(hidden_layer_sizes)
        for name, size in (("n_features", n_features), ("n_components", n_components)):
            _check_size(name, size)
        if output not in _OUTPUTS:
            raise ParameterError(f"output must be one of {', '.join(_OUTPUTS)}, got {output!r}.")
        self.encoder = _hidden_layers(n_features, hidden)
        self.latent = self._latent_layer(hidden[-1], n_components)
        self.decoder = _hidden_layers(n_components, hidden[::-1])
        self.decoder.append(torch.nn.Linear(hidden[0], n_features))
        if output == "softmax":
            self.decoder.append(torch.nn.Softmax(dim=-1))

    @staticmethod
    def _latent_layer(width: int, n_components: int) -> torch.nn.Module:
        return torch.nn.Linear(width, n_components)

    def encode(self, features: torch.Tensor) -> torch.Tensor:
        """
        Place feature vectors in the latent space.

        Parameters
        ----------
        features : torch.Tensor, shape (n, n_features)

        Returns
        -------
        torch.Tensor, shape (n, n_components)
        """
        latent: torch.Tensor = self.latent(self.encoder(features))
        return latent

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """
        Make feature vectors from places in the latent space.

        Parameters
        ----------
        latent : torch.Tensor, shape (n, n_components)

        Returns
        -------
        torch.Tensor, shape (n, n_features)
        """
        features: torch.Tensor = self.decoder(latent)
        return features

    def forward(self, features: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Reconstruct feature vectors of shape (n, n_features)."""
        return self.decode(self.encode(features))


class VariationalAutoEncoder(AutoEncoder):
    """
    Autoencoder whose latent numbers are normal distributions [1]_.

    The last layer of the encoder gives a mean and a log-variance per latent dimension. While
    training, a sample of the distribution is decoded; otherwise, and as the latent space, the
    mean.

    Parameters
    ----------
    n_features, hidden_layer_sizes, n_components, output
        As for :class:`AutoEncoder`.

    References
    ----------
    .. [1] D. P. Kingma, M. Welling: Auto-encoding variational Bayes. ICLR 2014,
       arXiv:1312.6114.
    """

    @staticmethod
    def _latent_layer(width: int, n_components: int) -> torch.nn.Module:
        # Both heads in one layer: the means first, then the log-variances.
        return torch.nn.Linear(width, 2 * n_components)

    def distribution(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Place feature vectors as normal distributions.

        Parameters
        ----------
        features : torch.Tensor, shape (n, n_features)

        Returns
        -------
        mean, log_variance : torch.Tensor, shape (n, n_components)
        """
        mean, log_variance = self.latent(self.encoder(features)).chunk(2, dim=-1)
        return mean, log_variance

    def encode(self, features: torch.Tensor) -> torch.Tensor:
        """Place feature vectors of shape (n, n_features) at the means of their distributions."""
        return self.distribution(features)[0]

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Reconstruct feature vectors; also give the means and log-variances."""
        mean, log_variance = self.distribution(features)
        latent = mean
        if self.training:
            latent = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        return self.decode(latent), mean, log_variance


def _hidden_layers(n_in: int, sizes: Sequence[int]) -> torch.nn.Sequential:
    layers: list[torch.nn.Module] = []
    for size in sizes:
        layers += [
            torch.nn.Linear(n_in, size),
            torch.nn.LayerNorm(size),
            torch.nn.LeakyReLU(_SLOPE),
        ]
        n_in = size
    return torch.nn.Sequential(*layers)


def _checked_sizes(sizes: Any) -> tuple[int, ...]:
    if isinstance(sizes, str) or not hasattr(sizes, "__iter__") or not tuple(sizes):
        raise ParameterError(
            "hidden_layer_sizes must hold at least one size, such as (512, 256, 128), got "
            f"{sizes!r}."
        )
    for size in sizes:
        _check_size("hidden_layer_sizes", size)
    return tuple(sizes)


def _check_size(name: str, size: object) -> None:
    if isinstance(size, bool) or not isinstance(size, Integral) or size < 1:
        raise ParameterError(f"{name} must be positive integer(s), got {size!r}.")
