"""Which source files of a program have changed since an artifact was made."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.explain.code_changes import find_changed_files
from stages.keys import short
from stages.run.fingerprint import Fingerprinter
from stages.store.manifest import COLLECTED, RUN
from stages.store.stat_cache import StatCache
from stages.store.verdict import Reason

PACKAGE = "stages.export"
FINGERPRINTER = Fingerprinter(StatCache(Path(os.devnull)))


def sources() -> dict[str, str]:
    """As run.json would name the present files."""
    return {module: short(digest) for module, digest in FINGERPRINTER.digests(PACKAGE).items()}


def changes(folder: Path, content: object, name: str = RUN) -> dict[str, tuple[object, object]]:
    (folder / name).write_text(json.dumps(content))
    return {each.field: (each.before, each.now) for each in find_changed_files(folder, PACKAGE, FINGERPRINTER)}


def test_files_that_are_the_same_are_not_named(tmp_path: Path):
    assert changes(tmp_path, {"sources": sources()}) == {}


def test_a_file_that_changed_is_named_with_both_digests(tmp_path: Path):
    now = sources()["stages.export.video"]
    assert changes(tmp_path, {"sources": {**sources(), "stages.export.video": "0" * 12}}) == {
        "code.export/video.py": ("0" * 12, now)
    }


def test_a_file_that_is_new_has_no_digest_before_and_one_that_is_gone_none_now(tmp_path: Path):
    then = {**sources(), "stages.export.gone": "0" * 12}
    new = then.pop("stages.export.codecs")
    assert changes(tmp_path, {"sources": then}) == {
        "code.export/codecs.py": (None, new),
        "code.export/gone.py": ("0" * 12, None),
    }


def test_a_package_is_named_by_its_file(tmp_path: Path):
    assert [*changes(tmp_path, {"sources": {**sources(), "stages.export": "0" * 12}})] == ["code.export/__init__.py"]


def test_of_a_collected_artifact_it_is_known_too(tmp_path: Path):
    assert changes(tmp_path, {"sources": {**sources(), "stages.export.video": ""}}, COLLECTED)


@pytest.mark.parametrize("content", [{}, [], {"sources": 3}, {"sources": {"stages.export": 3}}, {"sources": {}}])
def test_a_run_json_that_does_not_say_names_none(tmp_path: Path, content: object):
    assert changes(tmp_path, content) == {}


@pytest.mark.parametrize("spoil", [lambda file: file.unlink(), lambda file: file.write_text("{")])
def test_nor_does_one_that_cannot_be_read(tmp_path: Path, spoil: Callable[[Path], object]):
    assert changes(tmp_path, {"sources": {}}) == {}
    spoil(tmp_path / RUN)
    assert find_changed_files(tmp_path, PACKAGE, FINGERPRINTER) == ()


def test_reasons_are_those_of_verdicts(tmp_path: Path):
    (tmp_path / RUN).write_text(json.dumps({"sources": {**sources(), "stages.export.gone": "0"}}))
    assert find_changed_files(tmp_path, PACKAGE, FINGERPRINTER) == (Reason("code.export/gone.py", "0", None),)
