"""HyperSpy files: .hspy (HDF5) and .zspy (zarr)."""
