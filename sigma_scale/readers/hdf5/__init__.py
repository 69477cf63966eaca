"""
HDF5 files of which nothing is believed: damaged ones can hang or crash the HDF5 library.

``files`` opens them and checks what a dataset claims, ``chunks`` decompresses numbers outside of
the library, ``texts`` finds texts of variable length without it, ``values`` reads small entries
of headers by way of it, and ``heaps`` checks files before other packages let the library read
their texts.
"""
