"""Schedulers and workers in processes of their own. `processes.py` holds what starts them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sigma_scale import config

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def own_options():
    """Options that a test sets end with it."""
    with config.options(progress=False, memory_limit=None, engine="auto", worker_timeout="2m"):
        yield
