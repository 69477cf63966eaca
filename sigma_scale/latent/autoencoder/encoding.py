"""Latent spaces of any size: a network applied in blocks that are all alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.compute import check_memory
from sigma_scale.errors import ParameterError, ShapeMismatchError
from sigma_scale.latent.autoencoder.data import FeatureRows
from sigma_scale.latent.autoencoder.engine import choose_device, torch
from sigma_scale.progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["BLOCK_ROWS", "encode"]

BLOCK_ROWS = 4096
"""Rows of a block. Matrix products choose their order of summation by the shapes of the matrices,
so that a row's last bits would depend on the size of its batch if that were not always the same."""


def encode(network: Any, dataset: Any, *, device: str = "auto") -> NDArray[np.float32]:
    """
    Place every pixel in a network's latent space.

    Parameters
    ----------
    network : torch.nn.Module
        With a method ``encode``. It is left on the device and in the mode that it was in.
    dataset : array-like, shape (n, k) or (y, x, k)
        Features, in memory or lazy; read and encoded in pieces.
    device : {"auto", "cpu", "cuda"}, default: "auto"
        Where to run.

    Returns
    -------
    numpy.ndarray, shape (n, n_components), float32
        In the order of the pixels; the same bits however the dataset is chunked.

    Raises
    ------
    ParameterError
        If a value is NaN or infinite, or the network has no latent space for such rows.
    MemoryLimitError
        If the latent space doesn't fit into memory.
    """
    rows = FeatureRows(dataset)
    where = choose_device(device)
    before = next(network.parameters()).device
    was_training = network.training
    network.to(where).eval()
    try:
        with torch.inference_mode(), progress_bar("Encoding", total=rows.n_rows) as bar:
            latent: NDArray[np.float32] | None = None
            for first, n_valid, block in _equal_blocks(rows):
                placed = _placed(network, block, where)
                if latent is None:
                    latent = _room_for(rows.n_rows, placed.shape[1])
                latent[first : first + n_valid] = placed[:n_valid]
                bar.update(n_valid)
    finally:
        network.to(before).train(was_training)
    if latent is None:
        raise ParameterError("The dataset gave no rows.")
    return latent


def _placed(network: Any, block: NDArray[np.float32], device: torch.device) -> NDArray[np.float32]:
    try:
        placed = network.encode(torch.from_numpy(block).to(device))
    except RuntimeError as error:
        if "shapes cannot be multiplied" not in str(error):
            raise
        raise ShapeMismatchError(
            f"The dataset has {block.shape[1]} features, and the network was made for another "
            "number. Give it the same features in the same order."
        ) from error
    result: NDArray[np.float32] = placed.float().cpu().numpy()
    return result


def _room_for(n_rows: int, n_components: int) -> NDArray[np.float32]:
    check_memory(
        4 * n_rows * n_components,
        what="The latent space",
        remedy="Raise memory_limit, or encode a part of the map at a time.",
    )
    return np.empty((n_rows, n_components), np.float32)


def _equal_blocks(rows: FeatureRows) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
    """Cut bands into blocks of one size from row 0 on; the last is filled up with zeros."""
    block = np.zeros((BLOCK_ROWS, rows.n_features), np.float32)
    filled = first = 0
    for _, band in rows.bands():
        taken = 0
        while taken < len(band):
            n = min(BLOCK_ROWS - filled, len(band) - taken)
            block[filled : filled + n] = band[taken : taken + n]
            taken += n
            filled += n
            if filled == BLOCK_ROWS:
                yield first, filled, block
                first, filled = first + filled, 0
    if filled:
        block[filled:] = 0
        yield first, filled, block
