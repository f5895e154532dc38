"""One makes a node, and the others wait: who may go on, and when.

Two open files exclude each other as two processes do, so most of this needs no process. Another host is a file that is
written as one would write it.
"""

import errno
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stages.errors import StoreError
from stages.keys import ArtifactId, Key
from stages.machine.file_lock import open_lock, open_present_lock
from stages.machine.holder import Holder
from stages.store.lease_file import Lease
from stages.store.lease_file import write_lease as write_text
from stages.store.leases import InUse, Leases
from tests.builders import as_another_user, build_chain, build_node, let_others_in

ENCODE, NODE = build_chain()
OF_OTHER_HOST = replace(Holder.here(), machine="another machine", host="tpu-2", user="bob")
PATIENCE_S = 0.5  # tests wait for it
LOOK_S = 0.02  # also between two counts of a holder; a loaded machine can take ten times that
_HOLD = """
import sys, time
from pathlib import Path
from stages.store.leases import Leases
from tests.builders import build_chain
if sys.argv[2] != "locks":
    import errno
    def refuse(event, arguments):
        if event == "fcntl.flock":
            raise OSError(errno.ENOLCK, "refused")
    sys.addaudithook(refuse)
leases = Leases(Path(sys.argv[1]), beat_s=0.02, look_s=0.02, patience_s=float(sys.argv[3]))
with leases.hold(build_chain()[1], (), wait=lambda holder, waited_s: None):
    print("has it", flush=True)
    sys.stdin.read()
print("gave it back", flush=True)
"""


class WaitedFor(Exception):  # noqa: N818 (it ends the waiting)
    """Raised in place of waiting, with the holder."""


def refuse_to_wait(holder: Holder | None, _waited_s: float) -> None:
    raise WaitedFor(holder)


def wait(_holder: Holder | None, _waited_s: float) -> None:
    pass


@pytest.fixture
def leases(tmp_path: Path) -> Leases:
    return Leases(tmp_path, beat_s=LOOK_S, look_s=LOOK_S, patience_s=PATIENCE_S)


def lease_file(leases: Leases) -> Path:
    return leases.root / ".leases" / f"denoise-{NODE.key}.json"


def can_be_taken(leases: Leases, group: str = "") -> bool:
    """Without waiting."""
    try:
        with leases.hold(NODE, (), group=group, wait=refuse_to_wait):
            return True
    except WaitedFor:
        return False


def write_lease(leases: Leases, holder: Holder, *, group: str = "", is_locked: bool = True, count: int = 0) -> None:
    """As a holder that is not this process would, without a lock that can be seen here."""
    lease = Lease(holder, NODE.artifact, (ENCODE.artifact,), group, is_locked)
    lease_file(leases).parent.mkdir(exist_ok=True)
    descriptor = os.open(lease_file(leases), os.O_RDWR | os.O_CREAT, 0o666)  # and not emptied: that would give it back
    write_text(descriptor, lease.to_json(count))
    os.close(descriptor)


@contextmanager
def counting(leases: Leases, holder: Holder, *, group: str = "") -> Iterator[None]:
    """Another host's holder, which is alive."""
    is_over = threading.Event()

    def count() -> None:
        number = 0
        while not is_over.wait(LOOK_S):
            number += 1
            write_lease(leases, holder, group=group, count=number)

    write_lease(leases, holder, group=group)
    thread = threading.Thread(target=count)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


@contextmanager
def holding_process(
    root: Path, *, locks: bool = True, prefix: list[str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A process that has the lease, until its stdin ends or it is killed."""
    command = [*(prefix or []), sys.executable, "-c", _HOLD, str(root), "locks" if locks else "none", str(PATIENCE_S)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "has it\n"
        yield process
        process.kill()


def take(leases: Leases) -> tuple[float, Holder | None]:
    """Wait for the lease and take it: the seconds, and who had it before."""
    start = time.monotonic()
    with leases.hold(NODE, (), wait=wait) as before:
        return time.monotonic() - start, before


def test_one_at_a_time_has_a_lease_and_who_comes_second_learns_who(leases: Leases):
    with leases.hold(NODE, (), wait=wait) as before:
        assert before is None
        with pytest.raises(WaitedFor) as caught, leases.hold(NODE, (), wait=refuse_to_wait):
            pass
    assert caught.value.args[0].process == os.getpid()
    assert can_be_taken(leases)


def test_other_nodes_are_not_kept_from_being_made(leases: Leases):
    with leases.hold(NODE, (), wait=wait), leases.hold(build_node(prompt="x"), (), wait=refuse_to_wait):
        pass


def test_who_has_waited_has_it_when_it_is_given_back_and_knows_from_whom(leases: Leases):
    from_whom: list[Holder | None] = []
    is_waiting = threading.Event()

    def take_after_waiting() -> None:
        with leases.hold(NODE, (), wait=lambda _holder, _waited_s: is_waiting.set()) as before:
            from_whom.append(before)

    thread = threading.Thread(target=take_after_waiting)
    with leases.hold(NODE, (), wait=wait):
        holder = Lease.from_json(lease_file(leases).read_bytes()).holder
        thread.start()
        assert is_waiting.wait(60)
        assert from_whom == []
    thread.join()
    assert from_whom == [holder]


def test_a_lease_that_was_given_back_leaves_no_file_also_after_an_error(leases: Leases):
    with pytest.raises(ZeroDivisionError), leases.hold(NODE, (), wait=wait):
        raise ZeroDivisionError
    assert [*lease_file(leases).parent.iterdir()] == []


def test_of_a_process_of_this_machine_that_has_ended_it_is_taken_at_once(leases: Leases):
    write_lease(leases, Holder.here())
    assert can_be_taken(leases)


def test_no_clock_decides_whether_a_holder_is_alive(leases: Leases):
    since = "2100-01-01T00:00:00+00:00"
    write_lease(leases, replace(Holder.here(), since=since))
    assert can_be_taken(leases)
    with counting(leases, replace(OF_OTHER_HOST, since=since)):
        time.sleep(2 * PATIENCE_S)
        assert not can_be_taken(leases)
    assert take(leases)[0] > PATIENCE_S


def test_the_time_of_its_file_does_not_decide_either(leases: Leases):
    for hours in (-5, 5):
        write_lease(leases, OF_OTHER_HOST)
        time_s = time.time() + hours * 3600
        os.utime(lease_file(leases), (time_s, time_s))
        waited_s, before = take(leases)
        assert waited_s > PATIENCE_S
        assert before == OF_OTHER_HOST


DAMAGES = {"zeros": b"\0" * 100, "cut": b'{"user": "bo', "no text": b"\xff\xff"}


@pytest.mark.parametrize("text", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_lease_is_waited_for_and_not_for_ever(leases: Leases, text: bytes):
    write_lease(leases, OF_OTHER_HOST)
    lease_file(leases).write_bytes(text)
    waited_s, before = take(leases)
    assert waited_s > PATIENCE_S
    assert before is None


def test_an_empty_lease_was_given_back(leases: Leases):
    write_lease(leases, OF_OTHER_HOST)
    lease_file(leases).write_bytes(b"")
    assert can_be_taken(leases)


def test_hosts_of_one_group_make_a_node_together_and_keep_others_from_it(leases: Leases):
    with leases.hold(NODE, (), group="8482/2", wait=wait):
        assert can_be_taken(leases, "8482/2")
        assert not can_be_taken(leases, "8482/4")
        assert not can_be_taken(leases)
    with counting(leases, OF_OTHER_HOST, group="8482/2"):
        assert can_be_taken(leases, "8482/2")
        assert not can_be_taken(leases)


def test_while_the_work_stands_still_others_may_take_it_over(leases: Leases):
    with leases.hold(NODE, (), wait=wait, is_at_work=lambda: False):
        waited_s, before = take(leases)
    assert waited_s > PATIENCE_S
    assert before is not None
    with leases.hold(NODE, (), wait=wait):
        time.sleep(2 * PATIENCE_S)
        assert not can_be_taken(leases)


def test_who_has_lost_a_lease_does_not_take_it_back(leases: Leases):
    with leases.hold(NODE, (), wait=wait):
        write_lease(leases, OF_OTHER_HOST)
        time.sleep(5 * LOOK_S)
        assert Lease.from_json(lease_file(leases).read_bytes()).holder == OF_OTHER_HOST
    assert lease_file(leases).exists()


def test_in_use_is_what_is_made_and_read_and_by_whom(leases: Leases):
    assert leases.in_use() == {}
    with leases.hold(NODE, [ENCODE.artifact], wait=wait):
        users = leases.in_use()
        assert users.keys() == {NODE.artifact, ENCODE.artifact}
        assert {holder.process for holder in users.values()} == {os.getpid()}
    with counting(leases, OF_OTHER_HOST):
        assert leases.in_use() == dict.fromkeys((NODE.artifact, ENCODE.artifact), OF_OTHER_HOST)


def test_what_a_run_is_going_to_make_and_read_is_in_use_and_others_may_make_it(leases: Leases):
    with leases.hold_all([NODE.artifact, ENCODE.artifact]), leases.hold_all([NODE.artifact]):
        assert {*leases.in_use()} == {NODE.artifact, ENCODE.artifact}
        assert leases.look().made == {}
        assert can_be_taken(leases)
        with leases.hold(NODE, (), wait=wait):
            assert {*leases.look().made} == {NODE.artifact}
    assert leases.in_use() == {}
    assert [*(leases.root / ".leases").iterdir()] == []


def test_a_run_of_ten_thousand_artifacts_fits(leases: Leases):
    artifacts = [ArtifactId("denoise", Key(f"{number:032x}")) for number in range(10_000)]
    with leases.hold_all(artifacts):
        assert {*leases.in_use()} == {*artifacts}


@pytest.mark.parametrize("holder", [Holder.here(), OF_OTHER_HOST], ids=["this machine", "another host"])
def test_what_the_dead_have_had_is_not_in_use_and_their_leases_go(leases: Leases, holder: Holder):
    write_lease(leases, holder)
    assert leases.in_use() == {}
    assert not lease_file(leases).exists()


def write_dead_lease(leases: Leases, *, text: bytes | None = None) -> Path:
    """A lease that its holder has left behind."""
    write_lease(leases, Holder.here())
    if text is not None:
        lease_file(leases).write_bytes(text)
    return lease_file(leases)


def test_a_lease_that_is_locked_and_not_yet_written_is_looked_at_again(leases: Leases):
    """Its holder has it, and writes what it reads a moment later."""
    path = write_dead_lease(leases, text=b'{"user": "hal')
    lease = Lease(Holder.here(), NODE.artifact, (ENCODE.artifact,), "", is_locked=True)
    looked: list[int] = []
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        def write(_seconds: float) -> None:
            looked.append(1)
            write_text(file.fileno(), lease.to_json(0))

        found = in_use_where_sleeping_is(leases, write)
    assert looked == [1]
    assert found == dict.fromkeys((NODE.artifact, ENCODE.artifact), lease.holder)


def in_use_where_sleeping_is(leases: Leases, act: Callable[[float], None]) -> Mapping[ArtifactId, Holder]:
    """What is in use, where something else happens between two looks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "sleep", act)
        return leases.in_use()


def test_a_lease_that_is_locked_and_never_says_what_is_used_is_an_error(leases: Leases):
    path = write_dead_lease(leases, text=b"{")
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StoreError) as caught:
            leases.in_use()
    assert str(caught.value) == (
        f"{path}: is locked by a process, and does not say what that process uses. End the process that `lsof` or "
        "`fuser` names for it, or delete the file if nothing is being made."
    )
    assert leases.in_use() == {}


def test_an_empty_lease_names_nobody_until_it_is_written(leases: Leases):
    path = write_dead_lease(leases, text=b"")
    assert leases.files() == []
    assert leases.in_use() == {}
    write_lease(leases, Holder.here())
    assert leases.files() == [path]


OBSTACLES: Mapping[str, tuple[Callable[[Path], object], str]] = {
    "fifo": (os.mkfifo, "is a FIFO, not a file"),
    "folder": (lambda path: path.mkdir(), "Is a directory"),
    "link to itself": (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
}


@pytest.mark.parametrize(("make", "why"), OBSTACLES.values(), ids=OBSTACLES)
def test_of_a_lease_that_cannot_be_read_nobody_says_that_it_is_nobodys(
    leases: Leases, make: Callable[[Path], object], why: str
):
    path = write_dead_lease(leases)
    path.unlink()
    make(path)
    with pytest.raises(OSError, match=why) as caught:
        leases.in_use()
    assert caught.value.filename == str(path)
    assert os.path.lexists(path)
    leases.sweep()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EMFILE, errno.ESTALE, errno.EIO])
def test_an_error_of_the_system_is_not_taken_for_a_lease_that_nobody_has(leases: Leases, number: int):
    with leases.hold(NODE, (), wait=wait), pytest.MonkeyPatch.context() as patch:
        patch.setattr("stages.store.leases.open_present_lock", refusing(number))
        with pytest.raises(OSError, match=re.escape(os.strerror(number))):
            leases.in_use()
        leases.sweep()
    write_lease(leases, Holder.here())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stages.store.leases.open_present_lock", refusing(number))
        with pytest.raises(OSError, match=re.escape(os.strerror(number))):
            leases.in_use()
        leases.sweep()
    assert lease_file(leases).exists()


def refusing(number: int) -> Callable[..., int]:
    def refuse(path: Path, *_: object, **_options: object) -> int:
        raise OSError(number, os.strerror(number), str(path))

    return refuse


def test_where_leases_cannot_be_listed_nobody_says_that_there_are_none(leases: Leases):
    (leases.root / ".leases").write_text("in its place")
    with pytest.raises(NotADirectoryError):
        leases.in_use()
    leases.sweep()


def test_a_lease_that_goes_while_it_is_looked_at_is_nobodys(leases: Leases):
    path = write_dead_lease(leases)

    def go(*_: object) -> int:
        path.unlink()
        return open_present_lock(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stages.store.leases.open_present_lock", go)
        assert leases.in_use() == {}


def test_a_dead_lease_that_may_not_be_deleted_is_emptied(leases: Leases):
    """Another user's, in a sticky folder."""
    path = write_dead_lease(leases)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "unlink", refusing(errno.EPERM))
        assert leases.look() == InUse({}, frozenset())
    assert path.read_bytes() == b""
    assert leases.files() == []


def test_a_look_names_the_leases_that_somebody_has(leases: Leases):
    other = build_node(prompt="x")
    write_dead_lease(leases)
    with leases.hold(other, (), wait=wait):
        assert leases.look().leases == frozenset(leases.files()) != frozenset()


@pytest.mark.parametrize("artifact", [{"stage": [], "key": []}, {"stage": "../x", "key": NODE.key}, "x", None])
def test_a_lease_that_names_no_artifact_says_nothing(leases: Leases, artifact: object):
    write_lease(leases, OF_OTHER_HOST)
    fields = json.loads(lease_file(leases).read_bytes())
    lease_file(leases).write_text(json.dumps(fields | {"artifact": artifact}))
    assert leases.in_use() == {}


def test_a_fifo_in_the_place_of_its_lease_does_not_stop_a_holder(leases: Leases):
    with leases.hold(NODE, (), wait=wait):
        lease_file(leases).unlink()
        os.mkfifo(lease_file(leases))
        time.sleep(5 * LOOK_S)
    assert lease_file(leases).is_fifo()


def test_a_lease_that_is_given_back_again_and_again_before_it_is_locked_is_taken_in_the_end(leases: Leases):
    """A thousand times, which no descriptor or frame is kept for."""
    left = 1000

    def give_back(path: Path, **options: Any) -> int:
        nonlocal left
        descriptor = open_lock(path, **options)
        if left:
            left -= 1
            path.unlink()
        return descriptor

    before = len([*Path("/proc/self/fd").iterdir()])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stages.store.leases.open_lock", give_back)
        assert can_be_taken(leases)
    assert left == 0
    assert len([*Path("/proc/self/fd").iterdir()]) == before


def test_a_sweep_deletes_the_leases_of_this_machine_that_nobody_has_and_leaves_others(leases: Leases):
    Leases(leases.root / "nothing").sweep()
    assert not (leases.root / "nothing").exists()
    write_lease(leases, Holder.here())
    leases.sweep()
    assert not lease_file(leases).exists()
    write_lease(leases, OF_OTHER_HOST)
    leases.sweep()
    assert lease_file(leases).exists()
    with leases.hold(NODE, (), wait=wait):
        leases.sweep()
        assert not can_be_taken(leases)


def test_where_no_lease_can_be_written_that_is_an_error_of_the_system(tmp_path: Path):
    (tmp_path / ".leases").write_text("a file")
    with pytest.raises(FileExistsError), Leases(tmp_path).hold(NODE, (), wait=wait):
        pass


@pytest.mark.processes
def test_when_the_holder_is_killed_the_next_look_takes_it_over(leases: Leases):
    with holding_process(leases.root) as process:
        assert not can_be_taken(leases)
        process.kill()
        process.wait()
        assert can_be_taken(leases)


@pytest.mark.processes
def test_a_holder_that_was_stopped_for_long_has_lost_it_and_takes_nothing_from_the_next(leases: Leases):
    with holding_process(leases.root) as process:
        process.send_signal(signal.SIGSTOP)
        start = time.monotonic()
        with leases.hold(NODE, (), wait=wait) as before:
            assert before is not None
            assert before.process == process.pid
            assert time.monotonic() - start > PATIENCE_S
            process.send_signal(signal.SIGCONT)
            time.sleep(5 * LOOK_S)
            assert not can_be_taken(leases)
            assert process.communicate()[0] == "gave it back\n"
            assert not can_be_taken(leases)


@pytest.mark.processes
def test_on_a_file_system_without_locks_the_count_decides(leases: Leases):
    with holding_process(leases.root, locks=False) as process:
        time.sleep(2 * PATIENCE_S)
        assert not can_be_taken(leases)
        assert leases.in_use().keys() == {NODE.artifact}
        process.kill()
        process.wait()
        waited_s, before = take(leases)
    assert waited_s > PATIENCE_S
    assert before is not None


@pytest.mark.processes
@pytest.mark.parametrize("mode", [0o777, 0o1777], ids=["everybody's", "sticky"])
def test_another_user_can_take_a_lease_over(leases: Leases, mode: int):
    """Where the store's folder says so, whatever the umask of who was there first."""
    other = as_another_user(12345)
    let_others_in(leases.root)
    leases.root.chmod(mode)
    before = os.umask(0o022)
    try:
        write_shared(leases)
        with holding_process(leases.root, prefix=other) as process:
            assert not can_be_taken(leases)
            process.kill()
            process.wait()
            assert can_be_taken(leases)
    finally:
        os.umask(before)


def write_shared(leases: Leases) -> None:
    """What this user leaves behind when it is killed while it has the lease."""
    with leases.hold(NODE, (), wait=wait):
        text = lease_file(leases).read_bytes()
        mode = lease_file(leases).stat().st_mode
    lease_file(leases).write_bytes(text)
    lease_file(leases).chmod(mode)
