"""
The zarr v3 codec ``sigma_scale.events``.

zarr finds it through the entry point ``zarr.codecs`` of the installed package, so that
``zarr.open`` and ``xarray.open_zarr`` read event chunks as dense arrays without knowing of them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from zarr.abc.codec import ArrayBytesCodec

from sigma_scale.errors import ParameterError
from sigma_scale.spectra.events import MAX_CHANNELS, EventBlock
from sigma_scale.store.codec import CompressorName, Encoding, decode_dense, encode

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer, NDBuffer

__all__ = ["CODEC_NAME", "EventsCodec"]

CODEC_NAME = "sigma_scale.events"

_DIMENSIONS = 3


@dataclass(frozen=True)
class EventsCodec(ArrayBytesCodec):
    """
    Store chunks of counts as X-ray events; see :mod:`sigma_scale.store.codec`.

    Parameters
    ----------
    compressor : {"zstd", "lz4", "none"}
        Compressor of new chunks; reading goes by what a chunk says.
    level : int, default: 1
        Level of the compressor.
    """

    is_fixed_size = False

    compressor: CompressorName = "zstd"
    level: int = 1

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Make the codec that an array's metadata describe."""
        configuration = dict(data.get("configuration") or {})
        unknown = set(configuration) - {"compressor", "level"}
        if data.get("name") != CODEC_NAME or unknown:
            raise ParameterError(
                f"Not a configuration of the codec {CODEC_NAME}: {dict(data)}. "
                "A newer sigma-scale may know it."
            )
        return cls(**configuration)

    def to_dict(self) -> dict[str, Any]:
        """Describe the codec for an array's metadata."""
        configuration = {"compressor": self.compressor, "level": self.level}
        return {"name": CODEC_NAME, "configuration": configuration}

    @property
    def encoding(self) -> Encoding:
        """How new chunks are compressed."""
        return Encoding(self.compressor, self.level)

    def validate(self, *, shape: tuple[int, ...], dtype: Any, chunk_grid: Any) -> None:
        """
        Refuse arrays that events can't hold.

        Raises
        ------
        ParameterError
            If the array is not three-dimensional, of unsigned integers of up to 32 bits, and of
            at most 65,535 channels, all in one chunk.
        """
        native = cast("np.dtype[Any]", dtype.to_native_dtype())
        chunk_shape = getattr(chunk_grid, "chunk_shape", None)
        if len(shape) != _DIMENSIONS or not 1 <= shape[-1] <= MAX_CHANNELS:
            raise ParameterError(
                f"{CODEC_NAME} stores arrays of (y, x, energy) with 1 to {MAX_CHANNELS:,} "
                f"channels, not of shape {shape}."
            )
        if native.kind != "u" or native.itemsize not in (1, 2, 4):
            raise ParameterError(
                f"{CODEC_NAME} stores unsigned integers of up to 32 bits, not {native}."
            )
        if chunk_shape is not None and chunk_shape[-1] != shape[-1]:
            raise ParameterError(
                f"{CODEC_NAME} needs all {shape[-1]} channels in one chunk, not {chunk_shape[-1]}."
            )

    def _decode_sync(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        shape = cast("tuple[int, int, int]", chunk_spec.shape)
        dense = decode_dense(chunk_data.as_numpy_array(), shape, _native_dtype(chunk_spec))
        return chunk_spec.prototype.nd_buffer.from_ndarray_like(cast("Any", dense))

    def _encode_sync(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        dense = np.asarray(chunk_data.as_numpy_array(), dtype=_native_dtype(chunk_spec))
        data = encode(EventBlock.from_dense(dense), self.encoding)
        return chunk_spec.prototype.buffer.from_bytes(data)

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        return await asyncio.to_thread(self._decode_sync, chunk_data, chunk_spec)

    async def _encode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        return await asyncio.to_thread(self._encode_sync, chunk_data, chunk_spec)

    def compute_encoded_size(self, input_byte_length: int, _chunk_spec: ArraySpec) -> int:
        """Raise, as zarr asks of codecs whose chunks vary in size."""
        raise NotImplementedError


def _native_dtype(spec: ArraySpec) -> np.dtype[Any]:
    return np.dtype(spec.dtype.to_native_dtype()).newbyteorder("=")
