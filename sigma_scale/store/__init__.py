"""The map on disk: one zarr group per map, with the counts as X-ray events."""

from sigma_scale.store.codec import Encoding
from sigma_scale.store.layout import is_store
from sigma_scale.store.location import Location, PathOrUrl, UrlPath, local_path, locate
from sigma_scale.store.results import draft_results, open_result, result_names, write_result
from sigma_scale.store.stored import StoredCounts, open_map
from sigma_scale.store.sums import size_of_counts, stored_sum_spectrum, stored_total
from sigma_scale.store.verify import verify_map
from sigma_scale.store.writer import write_map
from sigma_scale.store.zarr_codec import EventsCodec

__all__ = [
    "Encoding",
    "EventsCodec",
    "Location",
    "PathOrUrl",
    "StoredCounts",
    "UrlPath",
    "draft_results",
    "is_store",
    "local_path",
    "locate",
    "open_map",
    "open_result",
    "result_names",
    "size_of_counts",
    "stored_sum_spectrum",
    "stored_total",
    "verify_map",
    "write_map",
    "write_result",
]
