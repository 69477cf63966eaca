"""The hashes of a map's source files, worked out while its counts are written."""

from __future__ import annotations

from concurrent.futures import CancelledError, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYetError
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sigma_scale.errors import StoreError
from sigma_scale.progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from sigma_scale.spectra import MapMetadata

__all__ = ["SourceHashes", "hashing"]

_SECONDS = 0.2


class SourceHashes:
    """
    Hashes under way in a thread of their own.

    The files are read at the same time as their counts, so that a large one comes from the disk
    once. A change of a file meanwhile is noticed.

    Parameters
    ----------
    metadata : MapMetadata
        Names the source files.
    executor : ThreadPoolExecutor
        Where the work goes.
    """

    def __init__(self, metadata: MapMetadata, executor: ThreadPoolExecutor) -> None:
        self._sources = metadata.sources
        self._before = [source.fingerprint() for source in metadata.sources]
        self._total = sum(s.size for s in metadata.sources if s.digest is None)
        self._done = 0
        self._stopped = False
        self._future: Future[MapMetadata] = executor.submit(metadata.with_hashes, self._report)

    def _report(self, n_bytes: int) -> None:
        if self._stopped:
            raise CancelledError
        self._done += n_bytes

    def stop(self) -> None:
        """Give up what is not done."""
        self._stopped = True

    def result(self) -> MapMetadata:
        """
        Metadata with the hashes; waits for them.

        Raises
        ------
        FileFormatError
            If a file can't be read.
        StoreError
            If a file has been changed since this began.
        """
        if not self._future.done():
            with progress_bar("Hashing the source", total=self._total, unit="B") as bar:
                while not self._future.done():
                    bar.update(self._done - bar.n)
                    try:
                        self._future.result(_SECONDS)
                    except NotYetError:
                        continue
                bar.update(self._total - bar.n)
        for source, before in zip(self._sources, self._before, strict=True):
            if source.fingerprint() != before:
                raise StoreError(
                    f"{source.path} was changed while it was read; the store can't be trusted. "
                    "Write it again once the file is at rest."
                )
        return self._future.result()


@contextmanager
def hashing(metadata: MapMetadata) -> Iterator[SourceHashes]:
    """
    Work out the hashes of a map's source files in the background.

    Parameters
    ----------
    metadata : MapMetadata
        Names the source files.

    Yields
    ------
    SourceHashes
    """
    with ThreadPoolExecutor(1, thread_name_prefix="hash") as executor:
        hashes = SourceHashes(metadata, executor)
        try:
            yield hashes
        finally:
            hashes.stop()
