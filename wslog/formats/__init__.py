"""Log formats: one module each, on the contract of :mod:`wslog.formats.contract`."""
