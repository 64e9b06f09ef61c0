"""The fixed inputs of each vector file, one module a file; each has `NAME` and `vectors()`."""
