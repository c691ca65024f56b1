"""One file per format; the folder is the registry: each module's ``READER`` is one way to read."""
