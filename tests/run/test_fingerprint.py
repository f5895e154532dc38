"""Fingerprint of a stage's code."""

import ast
import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from stages.errors import ParamsError
from stages.keys import digest_bytes
from stages.pipeline.stages import Pipeline
from stages.run import fingerprint as module
from stages.run.fingerprint import Fingerprinter, fingerprint, normalise
from stages.store.stat_cache import StatCache
from tests.project import PROJECT

PACKAGES = {program.package for program in Pipeline().programs}
DIFFUSERS = "stages.diffusers_decode"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of its own: two stages, a module that only one of them imports, and the store."""
    stages = tmp_path / "stages"
    for name, source in {
        "__init__.py": "",
        "geometry.py": "SCALE = 4\n",
        "tensors/files.py": "from stages.geometry import SCALE\n",
        "store/artifacts.py": "import os\n",
        "encode/__init__.py": "",
        "encode/edge.py": "import json\nfrom stages import geometry\nfrom stages.store.artifacts import os\n",
        "decode/__init__.py": "",
        "decode/edge.py": 'def f(x):\n    """Add."""\n    import stages.tensors.files\n    return x + 1\n',
    }.items():
        (stages / name).parent.mkdir(parents=True, exist_ok=True)
        (stages / name).write_text(source)
    monkeypatch.setattr(module, "_ROOT", tmp_path)
    return stages


@pytest.fixture(scope="module")
def real() -> StatCache:
    """What was found in the files of this checkout, each of which is looked through once."""
    return StatCache(Path(os.devnull))


def find_sources(package: str, cache: StatCache) -> Mapping[str, Path]:
    return Fingerprinter(cache).find_sources(package)


def cache(package: Path) -> StatCache:
    return StatCache(package.parent / "cache.json")


def names(package: Path, stage: str) -> list[str]:
    return [str(path.relative_to(package)) for path in find_sources(f"stages.{stage}", cache(package)).values()]


def changed(package: Path, path: str, old: str, new: str) -> set[str]:
    """Stages whose fingerprint differs after `old` is replaced by `new` in a file."""
    before = {stage: fingerprint(f"stages.{stage}", cache(package)) for stage in ("encode", "decode")}
    text = (package / path).read_text()
    assert old in text
    (package / path).write_text(text.replace(old, new))
    return {stage for stage, digest in before.items() if fingerprint(f"stages.{stage}", cache(package)) != digest}


def test_sources_are_the_stage_and_what_it_imports(package: Path):
    assert names(package, "encode") == ["__init__.py", "encode/__init__.py", "encode/edge.py", "geometry.py"]
    assert names(package, "decode") == [
        "__init__.py", "decode/__init__.py", "decode/edge.py", "geometry.py", "tensors/files.py",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "module"),
    [
        ("from .layers import f", "decode/layers.py"),
        ("from . import layers", "decode/layers.py"),
        ("from .blocks.deep import f", "decode/blocks/deep.py"),
        ("from ..params import f", "params.py"),
        ("from .. import params", "params.py"),
    ],
)
@pytest.mark.parametrize("importer", ["decode/__init__.py", "decode/edge.py"])
def test_relative_imports_are_followed(package: Path, line: str, module: str, importer: str):
    for path in ("encode/layers.py", module):
        (package / path).parent.mkdir(parents=True, exist_ok=True)
        (package / path).write_text("def f(): pass\n")
    (package / "decode/blocks").mkdir(exist_ok=True)
    (package / "decode/blocks/__init__.py").write_text("from ..more import g\n")
    (package / "more.py").write_text("")
    (package / importer).write_text(line + "\n")
    assert module in names(package, "decode")
    assert "more.py" not in names(package, "encode")


def test_a_changed_line_counts_for_the_stages_that_import_it(package: Path):
    assert changed(package, "geometry.py", "4", "5") == {"encode", "decode"}
    assert changed(package, "tensors/files.py", "SCALE", "SCALE as S") == {"decode"}
    assert changed(package, "decode/edge.py", "x + 1", "x + 2") == {"decode"}


def test_the_file_that_a_change_was_in_is_told_by_its_digest(real: StatCache):
    fingerprinter = Fingerprinter(real)
    digests = fingerprinter.digests("stages.export")
    assert [*digests] == [*fingerprinter.find_sources("stages.export")]
    assert digests["stages.export.video"] == digest_bytes(
        normalise(ast.parse((PROJECT / "stages/export/video.py").read_text(encoding="utf-8"))).encode()
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [("    return", "    # why\n    return"), ('"""Add."""', '"""Sum of both."""'), ("x + 1", "(x  +\n        1)")],
)
def test_comments_docstrings_and_formatting_never_count(package: Path, old: str, new: str):
    assert changed(package, "decode/edge.py", old, new) == set()


def test_the_store_never_counts(package: Path):
    assert changed(package, "store/artifacts.py", "os", "json") == set()


@pytest.mark.parametrize("program", sorted(PACKAGES))
def test_no_module_of_the_store_counts(program: str, real: StatCache):
    sources = Fingerprinter(real).find_sources(program)
    assert not [name for name in sources if name.startswith("stages.store")]


@pytest.mark.parametrize("name", ["flops", "versions"])
def test_what_decides_no_bytes_never_counts(package: Path, name: str):
    (package / "machine").mkdir()
    (package / f"machine/{name}.py").write_text("SCALE = 1\n")
    importer = package / "decode/edge.py"
    importer.write_text(f"import stages.machine.{name}\n" + importer.read_text())
    assert changed(package, f"machine/{name}.py", "1", "2") == set()


def test_operations_count_for_preflight_alone_which_writes_them_down(real: StatCache):
    flops = module._ROOT / "stages" / "machine" / "flops.py"
    packages = {*PACKAGES, "stages.preflight"}
    assert {each for each in packages if flops in find_sources(each, real).values()} == {"stages.preflight"}


def test_a_module_that_is_only_a_docstring_is_still_valid_code():
    assert normalise(ast.parse('def f():\n    """Doc."""\n')) == "def f():\n    pass"


def test_a_cache_of_another_layout_is_not_believed(package: Path):
    before = fingerprint("stages.decode", cache(package))
    path = package / "decode" / "edge.py"
    status = path.stat()
    stamp = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
    (package.parent / "cache.json").write_text(json.dumps({f"code {path}": [stamp, ["another", "layout"]]}))
    assert fingerprint("stages.decode", cache(package)) == before


def test_the_real_decode_stage_counts_its_layers(real: StatCache):
    sources = find_sources("stages.decode", real)
    assert sources["stages.decode.layers"] == module._ROOT / "stages" / "decode" / "layers.py"
    assert {"stages.geometry", "stages", "stages.tensors"} <= sources.keys()


def test_the_real_stages_leave_each_other_alone(real: StatCache):
    for package in PACKAGES:
        own = {package, "stages.decode"} if package == DIFFUSERS else {package}  # that one builds on decode
        found = {name.rpartition(".")[0] for name in find_sources(package, real)}
        assert not found & PACKAGES - own


def test_declarations_never_count(real: StatCache):
    for package in PACKAGES:
        assert not any(name.startswith("stages.pipeline") for name in find_sources(package, real))


def test_what_preflight_asks_and_shows_makes_no_answer_stale(real: StatCache):
    found = find_sources("stages.preflight", real)
    assert {"stages.preflight.lowering", "stages.preflight.figures", "stages.denoise.plan"} <= found.keys()
    assert not {"stages.preflight.survey", "stages.preflight.answers", "stages.preflight.table"} & found.keys()


def test_a_stage_of_a_project_counts_its_own_modules_and_those_of_this_package(
    package: Path, monkeypatch: pytest.MonkeyPatch
):
    project = package.parent / "project"
    for name, source in {
        "blur/edge.py": "import json\nimport numpy\nfrom stages.tensors import files\nfrom blur.kernel import K\n",
        "blur/kernel.py": "K = 3\n",
        "other.py": "",
    }.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(source)
    monkeypatch.syspath_prepend(project)
    assert [*find_sources("blur", cache(package))] == [
        "blur.edge", "blur.kernel", "stages", "stages.geometry", "stages.tensors.files",
    ]  # fmt: skip
    before = fingerprint("blur", cache(package))
    (project / "blur/kernel.py").write_text("K = 5\n")
    assert fingerprint("blur", cache(package)) != before


def test_a_program_without_an_edge_is_refused(package: Path):
    with pytest.raises(ParamsError, match=r"^stages\.blur: has no module stages\.blur\.edge"):
        fingerprint("stages.blur", cache(package))
