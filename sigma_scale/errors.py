"""
What can go wrong, in the user's words.

Every error of this package is a :class:`SigmaScaleError` and also the standard type that a
caller would expect (``ValueError``, ``OSError``, ...). A message says what was wrong, where,
and what to do about it.
"""

from __future__ import annotations

__all__ = [
    "BinningError",
    "BusyError",
    "CancelledError",
    "ClusterError",
    "ConflictError",
    "CorruptChunkError",
    "EmptyMapError",
    "EnergyRangeError",
    "EngineUnavailableError",
    "FileFormatError",
    "MemoryLimitError",
    "NoSpectraError",
    "OutputExistsError",
    "ParameterError",
    "ShapeMismatchError",
    "SigmaScaleError",
    "SigmaScaleWarning",
    "SourceNotFoundError",
    "StoreError",
    "UnfinishedStoreError",
    "UnknownLineError",
    "VerificationError",
]


class SigmaScaleError(Exception):
    """Base class of all errors that this package raises on purpose."""


class SigmaScaleWarning(UserWarning):
    """Something was done differently from what was asked; the message says what."""


class SourceNotFoundError(SigmaScaleError, FileNotFoundError):
    """A file or store that was named does not exist."""


class FileFormatError(SigmaScaleError, ValueError):
    """A file is not of the format it claims, is damaged, or no reader knows it."""


class NoSpectraError(FileFormatError):
    """A file was read but holds no EDS spectrum image."""


class StoreError(SigmaScaleError, OSError):
    """A store is damaged, incomplete, or not one of ours."""


class UnfinishedStoreError(StoreError):
    """A store whose writing was interrupted, opened as if it were complete."""


class VerificationError(StoreError):
    """A store and the source that it was written from don't agree."""


class CorruptChunkError(StoreError, ValueError):
    """An encoded chunk is truncated or altered; its counts cannot be trusted."""


class OutputExistsError(SigmaScaleError, FileExistsError):
    """The output is already there and overwriting was not asked for."""


class ParameterError(SigmaScaleError, ValueError):
    """A parameter has a value that cannot work."""


class UnknownLineError(ParameterError):
    """An X-ray line or element is not in the table."""


class EnergyRangeError(ParameterError):
    """An energy or window lies outside the measured energies."""


class BinningError(ParameterError):
    """A binning factor is not positive or is larger than the map."""


class EmptyMapError(ParameterError):
    """A map, or what is left of it after a step, has no pixels or no counts."""


class ShapeMismatchError(ParameterError):
    """Two arrays that describe the same pixels have different shapes."""


class MemoryLimitError(SigmaScaleError, MemoryError):
    """A step would need more memory than ``memory_limit`` allows."""


class ClusterError(SigmaScaleError, RuntimeError):
    """A scheduler or its workers can't be reached, don't fit, or died."""


class ConflictError(SigmaScaleError, RuntimeError):
    """Someone else changed what was to be changed; their changes were taken over."""


class BusyError(SigmaScaleError, RuntimeError):
    """Something else is being done with it, which has to end first."""


class CancelledError(SigmaScaleError, RuntimeError):
    """Work was given up because the user asked for it."""


class EngineUnavailableError(SigmaScaleError, ImportError):
    """An engine that was asked for by name cannot be used on this machine."""
