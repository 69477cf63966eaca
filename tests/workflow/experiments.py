"""What the tests of experiments share: a quick training, and what it leaves on disk."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SIZES = {"hidden_layer_sizes": (16, 8)}
QUICK_TRAINING = {"num_epochs": 4, "learning_rate": 1e-3}


def digests(folder: Path) -> dict[str, str]:
    """Content of each file in a folder."""
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }
