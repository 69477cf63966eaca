"""
Reading vendor files, and writing them to a store.

``files`` writes the files that are read, ``decoding`` compares decoders, ``storing`` measures the
way into a store, and ``compressors`` what its chunks may be compressed with.
"""
