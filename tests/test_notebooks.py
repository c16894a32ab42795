"""The notebooks run from top to bottom on the demo data, define no functions and are kept without outputs."""

from __future__ import annotations

import ast
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def test_there_are_notebooks() -> None:
    numbers = [p.name[:3] for p in NOTEBOOKS]
    assert all(number[:2].isdigit() and number[2] == "_" for number in numbers)
    assert len(set(numbers)) == len(numbers)
    assert len(NOTEBOOKS) >= 2


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
@pytest.mark.filterwarnings("default")  # the Jupyter stack's own deprecations are not ours
def test_notebook_runs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
            assert not any(
                isinstance(node, (ast.FunctionDef, ast.ClassDef)) for node in ast.walk(ast.parse(cell.source))
            )
    client = NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}})
    client.execute()
    assert any(cell.get("outputs") for cell in notebook.cells)
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    for output in shown:  # a chart is an image, not the name of an object
        assert (
            not str(output.get("data", {}).get("text/plain", "")).startswith("<Figure") or "image/png" in output["data"]
        )
