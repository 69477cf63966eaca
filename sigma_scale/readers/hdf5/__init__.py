"""HDF5 files of which nothing is believed: damaged ones can hang or crash the HDF5 library."""
