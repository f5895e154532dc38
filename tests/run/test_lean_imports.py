"""Imports that leave something out, with packages made for it, in processes of their own."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.project import PROJECT, environment

FILES = {
    "library/__init__.py": "import heavy\nfrom compiler import mark, Graph\nfrom compiler.inner import mark_as\n"
    "try:\n    import optional\nexcept ImportError:\n    optional = None\n",
    "library/models/__init__.py": "from library.models import one, two\n",
    "library/models/one.py": "import library\n@library.mark\ndef run():\n    return 1\n"
    "@library.mark_as(reason='x')\ndef is_graph(value):\n    return isinstance(value, library.Graph)\n",
    "library/models/two.py": "",
    "compiler/__init__.py": "def mark(function):\n    return None\nclass Graph:\n    pass\n",
    "compiler/inner.py": "def mark_as(**options):\n    return lambda function: None\n",
    "heavy.py": "",
    "optional.py": "",
    "work/__init__.py": "",
    "work/edge.py": "from library.models.one import run, is_graph\n",
}
LEAN = "from stages.run.lean_imports import LeanImports\nLEAN = LeanImports({})\n"
PROGRAM = """
import json, sys
from stages.run.lean_imports import import_program
edge = import_program("work")
names = ("compiler", "compiler.inner", "optional", "heavy", "library.models")
names += ("library.models.one", "library.models.two")
loaded = [name for name in names if name in sys.modules]
import compiler, compiler.inner, optional, library.models
real = [compiler.mark(1) is None, compiler.inner.mark_as()(1) is None, library.models.two.__name__]
print(json.dumps([edge.run and edge.run(), edge.is_graph and edge.is_graph(1), loaded, real]))
"""
OPTIONAL_FIRST = "try:\n    import optional\nexcept ImportError:\n    optional = None\n"
MODELS = ["library.models", "library.models.one", "library.models.two"]
REAL = [True, True, "library.models.two"]
pytestmark = pytest.mark.processes


def run(folder: Path, lean: str | None, files: Mapping[str, str] = FILES, program: str = PROGRAM) -> list[object]:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if lean is not None:
        (folder / "work/lean.py").write_text(LEAN.format(lean))
    variables = environment() | {"PYTHONPATH": f"{folder}:{PROJECT}"}
    command = [sys.executable, "-c", program]
    printed = subprocess.run(command, env=variables, capture_output=True, text=True, check=True).stdout
    result: list[object] = json.loads(printed)
    return result


def test_what_is_absent_or_inert_is_not_loaded_and_can_be_imported_afterwards(tmp_path: Path):
    lean = "absent=('optional',), inert=('compiler',)"
    assert run(tmp_path, lean) == [1, False, ["heavy", *MODELS], [True, True, "library.models.two"]]


def test_without_a_lean_module_all_is_imported(tmp_path: Path):
    _, _, loaded, _ = run(tmp_path, None, {**FILES, "work/edge.py": "run = is_graph = None\nimport library.models\n"})
    assert loaded == [
        "compiler", "compiler.inner", "optional", "heavy", "library.models", "library.models.one", "library.models.two"
    ]  # fmt: skip


def test_a_library_that_does_not_do_without_gets_all_also_what_it_could_have_done_without(tmp_path: Path):
    lean = "absent=('heavy', 'optional'), libraries=('library',)"
    files = {**FILES, "library/__init__.py": OPTIONAL_FIRST + FILES["library/__init__.py"]}
    loaded = ["compiler", "compiler.inner", "optional", "heavy", *MODELS]
    assert run(tmp_path, lean, files) == [None, None, loaded, REAL]  # the real compiler marks functions so


def test_a_library_that_had_gone_on_without_is_imported_anew(tmp_path: Path):
    files = {**FILES, "library/__init__.py": OPTIONAL_FIRST + "mark = mark_as = lambda *_, **__: lambda function: 1\n"}
    files["work/edge.py"] = "import library, heavy\nrun = is_graph = lambda *_: library.optional is not None\n"
    lean = "absent=('heavy', 'optional'), libraries=('library',)"
    assert run(tmp_path, lean, files)[:2] == [True, True]


def test_an_error_of_the_module_itself_is_raised(tmp_path: Path):
    files = {**FILES, "work/edge.py": "raise ValueError('mine')\n"}
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run(tmp_path, "absent=('optional',)", files)
    assert caught.value.stderr.splitlines()[-1] == "ValueError: mine"


def test_a_package_that_is_not_to_be_used_says_so_while_others_are_imported_and_no_longer(tmp_path: Path):
    files = {
        "devices.py": "def is_available():\n    return True\n",
        "work/__init__.py": "",
        "work/edge.py": "import devices\nwas_there = devices.is_available()\n",
    }
    program = """
import json
from stages.run.lean_imports import import_program
edge = import_program("work")
print(json.dumps([edge.was_there, edge.devices.is_available()]))
"""
    assert run(tmp_path, "unavailable=('devices',)", files, program) == [False, True]


def test_no_garbage_is_looked_for_in_what_is_imported_and_all_that_comes_later_is_collected(tmp_path: Path):
    files = {
        "work/__init__.py": "",
        "work/edge.py": "import gc, weakref\nwas_enabled = gc.isenabled()\n"
        "class Knot:\n    pass\ndef tie():\n    knot = Knot()\n    knot.itself = knot\n    return weakref.ref(knot)\n",
    }
    program = """
import gc, json
from stages.run.lean_imports import import_program
edge = import_program("work")
kept = gc.get_freeze_count() > 0
knot = edge.tie()
gc.collect()
print(json.dumps([edge.was_enabled, gc.isenabled(), kept, knot() is None]))
"""
    assert run(tmp_path, None, files, program) == [False, True, True, True]
