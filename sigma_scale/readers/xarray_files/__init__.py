"""Whatever xarray opens that has an energy dimension: zarr and NetCDF."""
