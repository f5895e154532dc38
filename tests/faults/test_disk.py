"""The real `doit` on a disk that is full, or fails, at any call: nothing is wrong, and afterwards it goes on."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.scene import STAGES, Found, Scene
from tests.faults.shim import Shim
from tests.project import copy_built

pytestmark = pytest.mark.processes


class NoSuchCallError(Exception):
    """The run has made fewer calls than that: it met no fault."""


@dataclass(frozen=True)
class Disk:
    """How it fails: from the call at which it does, once or for ever."""

    error: int
    is_sticky: bool


FULL, BROKEN = Disk(errno.ENOSPC, is_sticky=True), Disk(errno.EIO, is_sticky=False)


def disturb(scene: Scene, shim: Shim, stage: str, at: int, disk: Disk, *, jobs: str = "1") -> list[str]:
    """What is wrong after a run that makes a stage anew, whose call `at` fails, and after the next run.

    Raises:
        NoSuchCallError: the run made fewer calls.
    """
    for later in STAGES[STAGES.index(stage) :]:
        shutil.rmtree(scene.store / later, ignore_errors=True)
    before = scene.look()
    shim.arm(at, errno=disk.error, is_sticky=disk.is_sticky)
    code, printed = scene.run("-n", jobs, stage)
    if shim.disarm() < at:
        raise NoSuchCallError
    after = scene.look()
    faults = [*after.wrong]
    faults += [name for name, identity in before.identities.items() if after.identities.get(name) != identity]
    if code not in (0, 1):
        faults.append(f"exit code {code}")
    if "Traceback" in printed or (code and not printed.strip()):
        faults.append(printed)
    code, printed = scene.run(stage)
    if code:
        faults.append(printed)
    return [f"call {at}: {fault}" for fault in faults]


def differing(scene: Scene, reference: Found, stage: str) -> list[str]:
    """Artifacts up to a stage that are not what an undisturbed run makes."""
    stages = STAGES[: STAGES.index(stage) + 1]
    digests = scene.look().digests
    wanted = {name: digest for name, digest in reference.digests.items() if name.split("/")[0] in stages}
    return [name for name, digest in wanted.items() if digests.get(name) != digest]


def watch(scene: Scene, shim: Shim) -> Scene:
    """The same scene, whose store the shim watches."""
    shim.folder.rmdir()
    shim.folder.symlink_to(scene.store)
    return Scene(scene.root, shim.variables())


@pytest.mark.parametrize("disk", [FULL, BROKEN])
def test_an_export_on_a_failing_disk_goes_on_when_the_disk_works_again(
    built: Path, tmp_path: Path, shim: Shim, disk: Disk
):
    scene = watch(Scene(copy_built(built, tmp_path / "project")), shim)
    reference = scene.look()
    faults = [fault for at in (3, 12, 22) for fault in disturb(scene, shim, "export", at, disk)]
    assert faults == []
    assert differing(scene, reference, "export") == []


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A scene that was built undisturbed."""
    scene = Scene.create(tmp_path_factory.mktemp("undisturbed"))
    code, printed = scene.run()
    assert code == 0, printed
    return scene


@pytest.fixture
def scene(reference: Scene, tmp_path: Path, shim: Shim) -> Iterator[Scene]:
    """A copy of it whose store the shim watches."""
    copy = watch(reference.copy(tmp_path / "project"), shim)
    yield copy
    copy.end_all()


@pytest.mark.faults
@pytest.mark.parametrize(("disk", "jobs"), [(FULL, "1"), (FULL, "4"), (BROKEN, "1"), (BROKEN, "4")])
@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_on_a_disk_that_fails_at_every_call(scene: Scene, shim: Shim, stage: str, disk: Disk, jobs: str):
    reference = scene.look()
    faults: list[str] = []
    num_calls = 0
    with suppress(NoSuchCallError):
        while not faults:
            faults += disturb(scene, shim, stage, num_calls + 1, disk, jobs=jobs)
            num_calls += 1
    assert faults == []
    assert num_calls > 20
    assert differing(scene, reference, stage) == []
