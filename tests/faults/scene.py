"""A small project whose runs are disturbed, and what lies in its store afterwards."""

import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
from safetensors.numpy import save_file

from stages.store.manifest import MANIFEST, RUN
from tests.project import DOIT, copy_project, environment

STAGES = ("encode", "denoise", "decode", "export")
NUM_ARTIFACTS = 7  # of both videos: `computed` has all four, `given` has no prompt
VIDEOS = ("computed", "given")
_TIMEOUT_S = 600.0  # of a run that nobody disturbs; it takes 20 s on a quiet machine with two cores
_COMPUTED = """
[encode]
prompt = "A red circle moves to the right."
dtype = "float32"
[denoise]
num_frames = 5
height = 32
width = 32
num_inference_steps = 2
guidance_scale = 1.0
dtype = "float32"
[decode]
dtype = "float32"
[export]
fps = 8
"""
_GIVEN = """
[denoise]
from_file = "latents.safetensors"
[decode]
dtype = "float32"
[export]
fps = 8
"""
_MARKER = "HUNYUAN_STAGES_TEST_SCENE"  # in the environment of all processes of a scene, by which they are found


@dataclass(frozen=True)
class Found:
    """What lies in a store.

    Attributes:
        digests: of each artifact that is published, by stage and key: SHA-256 of its payload.
        identities: of the same, the inodes of its folder and of its manifest: another one was made again.
        wrong: artifacts whose manifest, payload and run.json do not belong together, and why.
        drafts, temporary: what writers left.
    """

    digests: Mapping[str, str]
    identities: Mapping[str, tuple[int, int]]
    wrong: tuple[str, ...]
    drafts: tuple[str, ...]
    temporary: tuple[str, ...]


@dataclass
class Scene:
    """A project of two videos, one of them from a file, in a folder of its own."""

    root: Path
    variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def store(self) -> Path:
        return self.root / "artifacts"

    @staticmethod
    def create(root: Path) -> "Scene":
        """Write the project; nothing is made yet."""
        copy_project(root)
        (root / "params/videos/demo.toml").unlink()
        (root / "params/videos/computed.toml").write_text(_COMPUTED)
        (root / "params/videos/given.toml").write_text(_GIVEN)
        latents = np.random.default_rng(0).standard_normal((1, 32, 2, 2, 2)).astype(np.float32)
        save_file({"latents": latents}, root / "latents.safetensors")
        return Scene(root)

    def copy(self, root: Path) -> "Scene":
        """The same, with its store and the times of its files, in a new folder."""
        shutil.copytree(self.root, root, symlinks=True)
        return Scene(root, self.variables)

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
        """Start `doit` as the first process of a group of its own."""
        return subprocess.Popen(
            [*DOIT, *arguments],
            cwd=self.root,
            env={**environment(), **self.variables, **variables, _MARKER: str(self.root)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(self, *arguments: str, timeout_s: float = _TIMEOUT_S, **variables: str) -> tuple[int, str]:
        """Exit code and all that `doit` printed."""
        process = self.start(*arguments, **variables)
        try:
            printed, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            self.end_all()
            raise
        return process.returncode, printed.decode()

    def process_ids(self) -> list[int]:
        """All processes of this scene that are alive, `doit` and what it started."""
        return [*self._find_processes()]

    def _find_processes(self) -> Iterator[int]:
        marker = f"{_MARKER}={self.root}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                is_ours = marker in (folder / "environ").read_bytes().split(b"\0")
                state = (folder / "stat").read_bytes().rpartition(b")")[2].split()[0]
            except OSError:  # it has ended meanwhile, or is not ours
                continue
            if is_ours and state != b"Z":
                yield int(folder.name)

    def wait_until_alone(self, timeout_s: float) -> float | None:
        """Seconds until no process of the scene was left; None when some still were after `timeout_s`."""
        start = time.monotonic()
        while self.process_ids():
            if time.monotonic() - start > timeout_s:
                return None
            time.sleep(0.02)
        return time.monotonic() - start

    def end_all(self) -> None:
        """Kill whatever is left of the scene's processes."""
        for process_id in self.process_ids():
            os.kill(process_id, signal.SIGKILL)
        self.wait_until_alone(10)

    def look(self) -> Found:
        """What lies in the store."""
        digests, identities, wrong = {}, {}, []
        for stage in STAGES:
            for folder in sorted((self.store / stage).glob("*")):
                name = f"{stage}/{folder.name}"
                if not (folder / MANIFEST).is_file():
                    continue  # forgotten, or taken away; a damaged manifest is one that is there
                try:
                    digests[name] = _digest_of(folder)
                except (OSError, ValueError, KeyError) as error:
                    wrong.append(f"{name}: {error!r}")
                    continue
                identities[name] = (folder.stat().st_ino, (folder / MANIFEST).stat().st_ino)
        drafts = sorted(path.name for path in (self.store / ".drafts").glob("*"))
        return Found(digests, identities, tuple(wrong), tuple(drafts), tuple(self._find_temporary()))

    def _find_temporary(self) -> Iterator[str]:
        """Files under names that only writers use, outside the drafts."""
        for pattern in (".stat-cache.json-*", ".executables/*-*", ".doit.db-*", ".*.tmp", "videos/.*"):
            for path in self.store.glob(pattern):
                yield str(path.relative_to(self.store))

    def held_locks(self) -> list[str]:
        """Files of the store on which somebody holds a lock."""
        held = []
        for path in [self.store / ".lock", *self.store.glob(".drafts/*.lock"), *self.store.glob(".leases/*")]:
            if path.is_file() and not _can_lock(path):
                held.append(str(path.relative_to(self.store)))
        return held


def _digest_of(folder: Path) -> str:
    """SHA-256 of a payload. Raises ValueError or KeyError when the files of its artifact do not belong together."""
    manifest = json.loads((folder / MANIFEST).read_bytes())
    payload = (folder / manifest["payload"]).read_bytes()
    if len(payload) != manifest["size_bytes"]:
        raise ValueError(f"{len(payload)} bytes, the manifest says {manifest['size_bytes']}")
    json.loads((folder / RUN).read_bytes())
    return hashlib.sha256(payload).hexdigest()


def _can_lock(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
