"""Point sets for the tests of density clustering."""

import numpy as np


def islands(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Four groups of different sizes and some noise (-1), and which point is which."""
    rng = np.random.default_rng(seed)
    centres = np.array([[0, 0], [8, 0], [0, 9], [7, 8]])
    truth = rng.choice(4, n, p=[0.5, 0.3, 0.15, 0.05])
    rows = centres[truth] + rng.normal(scale=0.7, size=(n, 2))
    stray = rng.random(n) < 0.03
    rows[stray] = rng.uniform(-5, 14, size=(stray.sum(), 2))
    return rows, np.where(stray, -1, truth)


def same_groups(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two labellings differ by the clusters' numbers only; noise is noise."""
    pairs = set(zip(one.tolist(), other.tolist(), strict=True))
    return (
        len(pairs) == len(np.unique(one)) == len(np.unique(other))
        and ((one < 0) == (other < 0)).all()
    )
