"""What a close code (or the HTTP status of a handshake) means, and what to do next.

The facts are data (``data/*.json``), their texts too, one folder for each language. :func:`explain` puts them together,
:mod:`wslog.explain.evidence` adds what a lake knows about the code, and :func:`render` prints the answer.
"""

from __future__ import annotations

from wslog.explain.answer import explain
from wslog.explain.facts import LANGUAGES, language
from wslog.explain.model import Explanation
from wslog.explain.page import render

__all__ = ["LANGUAGES", "Explanation", "explain", "language", "render"]
