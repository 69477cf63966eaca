"""Helpers of the tests lie beside them: `unmixing_oracles.py`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
