"""Files to numbered lines to events to the lake.

(The package is not called ``ingest``: that name is the public function :func:`wslog.ingest`.)
"""
