"""A project whose video has been made, as far as the store can tell, and edits of it."""

import json
import re
import socket
from pathlib import Path

from stages.keys import Node
from stages.run.fingerprint import Fingerprinter
from stages.run.loading import load_build
from stages.store.manifest import RUN
from stages.store.stat_cache import STAT_CACHE, StatCache
from tests.commands.store_commands import build_project, make
from tests.store.inventories import SECONDS

_KEY = re.compile(r" +[0-9a-f]{12}$", re.MULTILINE)


def build_made(root: Path) -> dict[str, Node]:
    """The shipped video, made on this machine in as many seconds as `SECONDS` says, with its link; its nodes."""
    nodes = make(build_project(root))
    build = load_build(root, {})
    for stage, node in nodes.items():
        sources = Fingerprinter(StatCache(root / "artifacts" / STAT_CACHE)).digests(f"stages.{stage}")
        facts = {
            "number_in_process": 1,
            "start_s": 0.0,
            "job_s": SECONDS[stage],
            "started": "2026-01-01T00:00:00+00:00",
            "host": socket.gethostname(),
            "device": "cpu",
            "machine": {"platform": "auto", "mesh": "auto", "hosts": "auto"},
            "wall_s": {stage: SECONDS[stage]},
            "sources": {module: digest[:12] for module, digest in sources.items()},
        }
        (build.store.folder(node.artifact) / RUN).write_text(json.dumps(facts))
    build.links.point_to("demo", nodes["export"].artifact)
    return nodes


def edit_video(root: Path, old: str, new: str) -> None:
    """Replace a text in the file of `demo` that is there once."""
    path = root / "params/videos/demo.toml"
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def edit_run(root: Path, node: Node, **facts: object) -> None:
    """Let an artifact's run.json say something else."""
    path = load_build(root, {}).store.folder(node.artifact) / RUN
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))


def without_keys(text: str) -> str:
    """A text without the keys at the ends of its lines."""
    return _KEY.sub("", text)
