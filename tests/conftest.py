"""What all tests share: UTC, no writing outside temporary folders, opt-in for the real lab."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-lab", action="store_true", help="run the tests that start real nginx, HAProxy and Chromium")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--run-lab"):
        return
    skip = pytest.mark.skip(reason="real nginx, HAProxy and Chromium: --run-lab (see README, Tests)")
    for item in items:
        if "lab" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session", autouse=True)
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Libraries that keep files in the home folder keep them in a temporary one."""
    folder = tmp_path_factory.mktemp("homes")
    names = ("MPLCONFIGDIR", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    before = {name: os.environ.get(name) for name in names}
    for name in names:
        os.environ[name] = str(folder / name.lower())
    os.environ["TZ"] = "UTC"
    yield
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture
def data() -> Path:
    """The demo data of the project."""
    return Path(__file__).parent.parent / "data" / "demo"
