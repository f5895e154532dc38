"""A project with real videos, each frame of which has a colour of its own, and its report."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np

from stages.export.video import write_video
from stages.geometry import VideoSize
from stages.keys import Node
from stages.report.gathering import gather
from stages.report.painter import encode_picture
from stages.report.ratings import read_ratings
from stages.report.shown import Shown
from stages.report.site import Written, one_at_a_time, write_site
from stages.run.build import Build
from stages.run.loading import load_build
from stages.store.artifacts import Store
from stages.store.previews import ANIMATION, preview_folder
from tests.builders import publish
from tests.known_files import know_package
from tests.project import copy_params

SIZE, FPS = VideoSize(24, 64, 96), Fraction(12)
LEVELS_PER_FRAME = 10  # of red, from one frame to the next
UNMADE = "later"  # a video of which there is a preview alone
SCRIPT = "<script>alert(1)</script>"
LONG = "A lamp. " * 625  # 5,000 characters
FILES = {
    "harbour": """\
[encode]
prompt = "Boats in a harbour."
[denoise]
num_frames = 9
height = 96
width = 96
[sweep]
"denoise.seed" = [1, 2]
"denoise.guidance_scale" = [3.0, 6.0]
""",
    "hevc": '[encode]\nprompt = "A ship."\n[export]\ncodec = "hevc"\n',  # which many browsers do not play
    "later": """\
[encode]
prompt = "Boats that come later."
""",
    "script": f"[encode]\nprompt = '{SCRIPT}'\n",
    "long": f'[encode]\nprompt = "{LONG}"\n',
}


def build_project(root: Path) -> Path:
    """A project with the shipped video, a sweep of four, and others that are hard to show; nothing is made."""
    copy_params(root)
    for name, text in FILES.items():
        (root / f"params/videos/{name}.toml").write_text(text)
    return know_package(root)


def load(root: Path, *, is_draft: bool = False, **overrides: str) -> Build:
    """The build of a project."""
    dotted = {name.replace("_", ".", 1): value for name, value in overrides.items()}
    return load_build(root, dotted, is_draft=is_draft)


def make(build: Build, name: str, *, payload: bytes | None = None) -> Mapping[str, Node]:
    """Publish all nodes of a video, and its link; by stage."""
    nodes, store = build.graph.videos[name], Store(build.store.root)
    for node in nodes.values():
        if build.verdict(node).is_fresh:
            continue
        content = f"payload of {node.key}".encode()
        if node.stage == "export":
            content = _encode(build.root / "clip.mp4", node) if payload is None else payload
        publish(store, node, content, build.code[build.program_of(node).package])
    build.links.point_to(name, nodes["export"].artifact)
    return nodes


def _encode(file: Path, node: Node) -> bytes:
    return write_clip(file, green=int(node.key[:2], 16), codec=str(node.parameters["codec"]))


def write_clip(file: Path, *, green: int, codec: str = "h264") -> bytes:
    """The bytes of a video that becomes redder from frame to frame, and has as much green in each."""
    others = np.array([green / 127.5 - 1, -1], np.float32)
    shades = -1 + 2 * np.arange(SIZE.num_frames) * LEVELS_PER_FRAME / 255
    frames = (np.broadcast_to(np.array([shade, *others], np.float32), (SIZE.height, SIZE.width, 3)) for shade in shades)
    write_video(frames, file, size=SIZE, fps=FPS, codec=codec, crf=10, metadata="", progress=lambda _done, _all: None)
    return file.read_bytes()


def make_all(root: Path) -> None:
    """All videos of a project but one, of that a preview; and drafts of the shipped one and of one of the sweep."""
    build = load(root)
    for name in build.graph.videos:
        if name != UNMADE:
            make(build, name)
    put_preview(build, UNMADE)
    for name in ("demo", "harbour-1"):
        make(load(root, is_draft=True), name)


def put_preview(build: Build, name: str) -> Path:
    """A preview of a video's denoise, as one that runs writes it; the file."""
    file = preview_folder(build.store.root, build.graph.videos[name]["denoise"].artifact) / ANIMATION
    file.parent.mkdir(parents=True)
    file.write_bytes(encode_picture(np.full((64, 96, 3), 128, np.uint8)))
    return file


def report(root: Path) -> tuple[Shown, Written]:
    """What `doit report` shows and writes."""
    build = load(root)
    with one_at_a_time(build.store.root) as folder:
        shown = gather(build)
        return shown, write_site(folder, shown, read_ratings(root), build.store.root)
