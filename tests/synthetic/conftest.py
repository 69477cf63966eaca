"""A map that several tests look at."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sigma_scale.synthetic import SyntheticMap, synthetic_map

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Lets these tests share `whole_maps.py`, whatever pytest's import mode.
sys.path.insert(0, str(Path(__file__).parent))

from whole_maps import whole


@pytest.fixture(scope="module")
def rock() -> SyntheticMap:
    return synthetic_map((256, 256), seed=3, rare_share=0.01)


@pytest.fixture(scope="module")
def counts(rock: SyntheticMap) -> NDArray[np.unsignedinteger[Any]]:
    return whole(rock.image.source)
