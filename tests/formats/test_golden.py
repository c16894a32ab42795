"""Every golden folder gives exactly the rows and rejects that are written in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import golden


@pytest.mark.parametrize("folder", golden.cases(), ids=lambda p: f"{p.parent.name}/{p.name}")
def test_golden_folder(folder: Path) -> None:
    golden.check(folder)
