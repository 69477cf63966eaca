"""What a network is trained to make small: reconstruction loss and Kullback-Leibler term."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sigma_scale.errors import ParameterError
from sigma_scale.latent.autoencoder.engine import torch

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CRITERIA", "Objective", "criterion_named"]

CRITERIA: dict[str, type[torch.nn.Module]] = {
    "MSE": torch.nn.MSELoss,
    "L1": torch.nn.L1Loss,
    "SmoothL1": torch.nn.SmoothL1Loss,
    "Huber": torch.nn.HuberLoss,
    "BCE": torch.nn.BCELoss,
}
"""Losses by name."""

_VARIATIONAL = 3  # outputs: reconstruction, mean, log-variance


def criterion_named(criterion: str | Callable[..., Any]) -> Callable[..., Any]:
    """
    Make a loss from its name, or check one that was given.

    Parameters
    ----------
    criterion : str or callable
        One of :data:`CRITERIA`, or a loss of PyTorch: an object that is called with output and
        target.

    Returns
    -------
    callable
        A copy, so that the caller's object stays on its device.

    Raises
    ------
    ParameterError
        If the name is unknown, or a class was given in the place of an object.
    """
    if isinstance(criterion, str):
        if criterion not in CRITERIA:
            raise ParameterError(
                f"There is no criterion {criterion!r}; there are: {', '.join(CRITERIA)}, or give "
                "a loss of PyTorch such as torch.nn.MSELoss()."
            )
        return CRITERIA[criterion]()
    if isinstance(criterion, type) or not callable(criterion):
        raise ParameterError(
            f"criterion must be one of {', '.join(CRITERIA)} or a loss of PyTorch such as "
            f"torch.nn.MSELoss(), got {criterion!r}."
        )
    return deepcopy(criterion)


@dataclass(frozen=True)
class Objective:
    """
    Loss of a batch.

    Attributes
    ----------
    criterion : callable
        Compares output and target; gives one number.
    kld_lambda : float
        Weight of the Kullback-Leibler term; 0: no such term.
    """

    criterion: Callable[..., Any]
    kld_lambda: float = 0.0

    def __call__(self, outputs: Any, target: torch.Tensor) -> torch.Tensor:
        """
        Compute the loss.

        Parameters
        ----------
        outputs : torch.Tensor or tuple of torch.Tensor
            Reconstruction, and for a variational network also mean and log-variance.
        target : torch.Tensor, shape (n, n_features)

        Returns
        -------
        torch.Tensor, shape ()

        Raises
        ------
        ParameterError
            If the output is not of the shape of the target, the criterion can't compare them or
            gives more than one number, or the network is not variational and ``kld_lambda`` is
            positive.

        Notes
        -----
        The divergence of N(mean, variance) from N(0, 1) is
        ``(mean**2 + variance - 1 - log(variance)) / 2``, summed over the latent dimensions [1]_
        and averaged over the batch.

        References
        ----------
        .. [1] D. P. Kingma, M. Welling: Auto-encoding variational Bayes. ICLR 2014, appendix B.
        """
        parts = outputs if isinstance(outputs, tuple) else (outputs,)
        given = tuple(getattr(parts[0], "shape", ())) if parts else ()
        if given != tuple(target.shape):  # losses would stretch one over the other
            raise ParameterError(
                f"The model gives {given or type(outputs).__name__} for a batch of shape "
                f"{tuple(target.shape)}; it must give a tensor of the batch's shape."
            )
        loss = self._compared(parts[0], target)
        if loss.ndim != 0:
            raise ParameterError(
                f"The criterion gives an array of shape {tuple(loss.shape)}; it must give one "
                "number per batch (reduction='mean')."
            )
        if self.kld_lambda == 0:
            return loss
        if len(parts) != _VARIATIONAL:
            raise ParameterError(
                f"KLD_lambda={self.kld_lambda} needs a variational model, which gives "
                "reconstruction, mean and log-variance. Use model=VariationalAutoEncoder, or "
                "KLD_lambda=0."
            )
        mean, log_variance = parts[1].float(), parts[2].float()
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
        total: torch.Tensor = loss + self.kld_lambda * divergence.sum(dim=-1).mean()
        return total

    def _compared(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        try:
            # Losses are sums of many small terms: always in single precision.
            loss = self.criterion(output.float(), target)
        except torch.cuda.OutOfMemoryError:
            raise
        except (TypeError, ValueError, RuntimeError) as error:
            raise ParameterError(
                f"The criterion {self.criterion!r} can't compare the model's output with the "
                f"features: {error}. Use one of {', '.join(CRITERIA)}; 'BCE' needs a model with "
                "output='softmax'."
            ) from error
        if not isinstance(loss, torch.Tensor):
            raise ParameterError(
                f"The criterion {self.criterion!r} gives {loss!r}; it must give a tensor."
            )
        if output.requires_grad and not loss.requires_grad:
            raise ParameterError(
                f"The loss of the criterion {self.criterion!r} doesn't follow from the model's "
                "output by PyTorch's operations, so that nothing can be learnt from it."
            )
        return loss
