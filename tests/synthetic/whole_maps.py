"""Whole counts of small synthetic maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sigma_scale.synthetic.source import SyntheticSource


def whole(source: SyntheticSource) -> NDArray[np.unsignedinteger[Any]]:
    """All counts of a small map as a dense array, put together block by block."""
    rows, columns = source.shape[:2]
    height, width = source.chunk_shape
    return np.concatenate(
        [
            np.concatenate(
                [source.read_block(i, j).to_dense() for j in range(-(-columns // width))], axis=1
            )
            for i in range(-(-rows // height))
        ]
    )
