"""Networks made from a class and its arguments, and what says which network it was."""

from __future__ import annotations

import hashlib
import inspect
import json
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import ParameterError, SigmaScaleWarning
from sigma_scale.latent.autoencoder.engine import seeded, torch
from sigma_scale.latent.autoencoder.networks import AutoEncoder, VariationalAutoEncoder
from sigma_scale.latent.autoencoder.seeds import derived_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sigma_scale.latent.autoencoder.checkpoints import Checkpoint
    from sigma_scale.latent.autoencoder.settings import TrainingSettings

__all__ = ["NetworkPlan"]

_INITIAL = 0  # what a derived seed is for


class NetworkPlan:
    """
    Class and arguments of a network, checked.

    Parameters
    ----------
    kind : type
        Class of the network, called as ``kind(n_features, **arguments)``.
    arguments : mapping
        Its further arguments.
    n_features : int
        Length of a feature vector.

    Raises
    ------
    ParameterError
        If the class has no ``encode``, doesn't know an argument, or refuses a value.
    """

    def __init__(
        self, kind: type[torch.nn.Module], arguments: Mapping[str, Any], n_features: int
    ) -> None:
        _check_arguments(kind, arguments)
        self.kind = kind
        self.arguments = dict(arguments)
        self.n_features = n_features
        self.build(0)  # what can't be built fails here

    def build(self, seed: int) -> Any:
        """Make the network with the initial weights of a seed, on the CPU."""
        with seeded(derived_seed(seed, _INITIAL), torch.device("cpu")):
            return self.kind(self.n_features, **self.arguments)

    def variational(self) -> NetworkPlan:
        """Plan of the variational network beside ``AutoEncoder``; other classes stay."""
        if self.kind is not AutoEncoder:
            return self
        return NetworkPlan(VariationalAutoEncoder, self.arguments, self.n_features)

    def for_settings(self, settings: TrainingSettings) -> NetworkPlan:
        """
        Plan that suits a training: a positive ``kld_lambda`` needs a variational network.

        Warns
        -----
        SigmaScaleWarning
            If that is another one than was asked for.
        """
        if settings.kld_lambda == 0 or self.kind is not AutoEncoder:
            return self
        warnings.warn(
            f"KLD_lambda={settings.kld_lambda} needs a variational model: VariationalAutoEncoder "
            "is trained in the place of AutoEncoder. Name it as the model to be rid of this.",
            SigmaScaleWarning,
            stacklevel=3,
        )
        return self.variational()

    def for_checkpoint(self, checkpoint: Checkpoint) -> NetworkPlan:
        """
        Plan that suits a checkpoint: this one, or the variational one beside it.

        Raises
        ------
        ParameterError
            If the checkpoint is that of another network.
        """
        recipe = checkpoint.facts["recipe"]
        for plan in (self, self.variational()):
            if plan.facts() == {name: recipe.get(name) for name in plan.facts()}:
                return plan
        differing = [
            f"{name} is {recipe.get(name)!r} there and {value!r} here"
            for name, value in self.facts().items()
            if recipe.get(name) != value
        ]
        raise ParameterError(
            f"{checkpoint.path} holds another network than this experiment's: "
            f"{'; '.join(differing)}."
        )

    def facts(self) -> dict[str, Any]:
        """Plain values that say which network this is."""
        return _plain(
            {
                "model": f"{self.kind.__module__}.{self.kind.__qualname__}",
                "model_args": self.arguments,
                "n_features": self.n_features,
            }
        )

    def recipe(
        self, settings: TrainingSettings, rows: NDArray[np.float32], seed: int
    ) -> dict[str, Any]:
        """
        Plain values that say which training this is.

        Parameters
        ----------
        settings : TrainingSettings
            How the network is trained.
        rows : numpy.ndarray, shape (n, k), float32
            What it is trained on; a hash of them is kept.
        seed : int
            Seed of all that is random.

        Returns
        -------
        dict
        """
        facts = {
            "n_rows": len(rows),
            "data": hashlib.blake2b(rows.data, digest_size=16).hexdigest(),
            "seed": seed,
            "settings": settings.fixed(),
            "torch": str(torch.__version__),
        }
        return self.facts() | _plain(facts)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Values as they come back from a file: tuples as lists, what isn't plain as text."""
    plain: dict[str, Any] = json.loads(json.dumps(values, default=_plain_value))
    return plain


def _plain_value(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else repr(value)


def _check_arguments(kind: Any, arguments: Any) -> None:
    is_network = isinstance(kind, type) and issubclass(kind, torch.nn.Module)
    if not is_network or not hasattr(kind, "encode"):
        raise ParameterError(
            "model must be a class of PyTorch modules with a method encode, such as AutoEncoder, "
            f"got {kind!r}."
        )
    if not isinstance(arguments, Mapping) or not all(isinstance(name, str) for name in arguments):
        raise ParameterError(
            "model_args must be a mapping such as {'hidden_layer_sizes': (512, 256, 128)}, got "
            f"{arguments!r}."
        )
    signature = inspect.signature(kind)
    parameters = list(signature.parameters.values())[1:]
    names = [parameter.name for parameter in parameters]
    unknown = [name for name in arguments if name not in names]
    if unknown and not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        raise ParameterError(
            f"{kind.__name__} has no argument {', '.join(map(repr, unknown))}; model_args may "
            f"hold: {', '.join(names)}."
        )
    try:
        signature.bind(1, **arguments)
    except TypeError as error:
        raise ParameterError(
            f"{kind.__name__} can't be made with model_args={dict(arguments)}: {error}."
        ) from error
