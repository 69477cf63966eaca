"""Phase maps from X-ray spectrum images of any size."""

__version__ = "0.1.0"
