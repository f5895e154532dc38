"""The file that names the tasks which later runs leave out."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from stages.errors import StoreError
from stages.store.ignored_tasks import IGNORED, IgnoredTasks
from tests.builders import acting_as_nobody
from tests.mounts import fill, mounted


def test_what_was_added_and_not_removed_is_read_by_another_process(tmp_path: Path):
    IgnoredTasks(tmp_path).change(add=["encode:1", "demo"])
    IgnoredTasks(tmp_path).change(add=["harbour"], remove=["demo"])
    program = (
        "import sys; from pathlib import Path; from stages.store.ignored_tasks import IgnoredTasks\n"
        "print(*sorted(IgnoredTasks(Path(sys.argv[1])).read()))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "encode:1 harbour\n"


def test_without_a_file_nothing_is_ignored_and_none_is_made(tmp_path: Path):
    tasks = IgnoredTasks(tmp_path / "store")
    assert tasks.read() == set()
    tasks.change(remove=["demo"])
    assert list(tmp_path.iterdir()) == []


def test_in_a_sticky_store_each_user_changes_what_the_other_has_ignored(tmp_path: Path):
    tmp_path.chmod(0o1777)
    IgnoredTasks(tmp_path).change(add=["demo"])
    with acting_as_nobody(tmp_path):
        IgnoredTasks(tmp_path).change(add=["harbour"])
        assert IgnoredTasks(tmp_path).read() == {"demo", "harbour"}
        IgnoredTasks(tmp_path).change(remove=["demo", "harbour"])
    assert IgnoredTasks(tmp_path).read() == set()


def test_a_file_that_would_stay_as_it_is_is_not_written(tmp_path: Path):
    tasks = IgnoredTasks(tmp_path)
    tasks.change(add=["demo"])
    before = (tmp_path / IGNORED).stat()
    tasks.change(add=["demo"], remove=["harbour"])
    after = (tmp_path / IGNORED).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_file_without_names_is_deleted(tmp_path: Path):
    tasks = IgnoredTasks(tmp_path)
    tasks.change(add=["demo"])
    tasks.change(remove=["demo"])
    assert {path.name for path in tmp_path.iterdir()} == {".lock"}


def test_commands_at_the_same_time_lose_nothing(tmp_path: Path):
    names = [f"encode:{number}" for number in range(32)]
    threads = [threading.Thread(target=IgnoredTasks(tmp_path).change, kwargs={"add": [name]}) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert IgnoredTasks(tmp_path).read() == set(names)
    assert {path.name for path in tmp_path.iterdir()} == {IGNORED, ".lock"}


def test_of_a_number_of_thousands_of_digits_there_is_no_advice_for_programmers(tmp_path: Path):
    (tmp_path / IGNORED).write_text(f"[{'9' * 5000}]")
    with pytest.raises(StoreError) as refused:
        IgnoredTasks(tmp_path).read()
    assert str(refused.value) == refusal(tmp_path / IGNORED, "it has a number of thousands of digits")


def refusal(file: Path, reason: str) -> str:
    return (
        f"{file}: cannot be read ({reason}). It names the tasks that `doit ignore` leaves out: correct it, or delete "
        "it and ignore them again."
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b'["demo"', "Expecting ',' delimiter: line 1 column 8 (char 7)"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b'{"demo": 1}', "it is no list of names of tasks"),
        (b'["demo", 1]', "it is no list of names of tasks"),
        (b"null", "it is no list of names of tasks"),
        (b"\xff", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
    ],
)
def test_a_file_with_something_else_is_refused_and_stays(tmp_path: Path, content: bytes, reason: str):
    file = tmp_path / IGNORED
    file.write_bytes(content)
    for use in (IgnoredTasks(tmp_path).read, lambda: IgnoredTasks(tmp_path).change(add=["demo"])):
        with pytest.raises(StoreError) as refused:
            use()
        assert str(refused.value) == refusal(file, reason)
    assert file.read_bytes() == content


def test_a_pipe_a_folder_and_a_link_to_itself_are_refused_at_once(tmp_path: Path):
    file = tmp_path / IGNORED
    for make, undo, reason in (
        (lambda: os.mkfifo(file), file.unlink, "is a FIFO, not a file"),
        (file.mkdir, file.rmdir, "Is a directory"),
        (lambda: file.symlink_to(file), file.unlink, "Too many levels of symbolic links"),
    ):
        make()
        with pytest.raises(StoreError) as refused:
            IgnoredTasks(tmp_path).read()
        assert str(refused.value) == refusal(file, reason)
        undo()


def test_what_cannot_be_written_is_one_message_and_the_file_stays(tmp_path: Path):
    with mounted(tmp_path / "disk", "size=1m") as root:
        tasks = IgnoredTasks(root)
        tasks.change(add=["demo"])
        fill(root)
        with pytest.raises(StoreError) as refused:
            tasks.change(add=["harbour"])
        assert str(refused.value) == (
            f"{root / IGNORED}: cannot be written (No space left on device). Make room or fix its permissions, and run "
            "it again; nothing has changed."
        )
        assert json.loads((root / IGNORED).read_text()) == ["demo"]
