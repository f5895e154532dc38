"""Real videos as export writes them, of nodes that a real project has, without the models between."""

import shutil
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np

from stages.export.provenance import describe_provenance
from stages.export.video import write_video
from stages.geometry import VideoSize
from stages.keys import Digest, Node
from stages.run.build import Build
from stages.run.loading import load_build
from stages.store.artifacts import Store
from stages.store.manifest import Manifest
from tests.builders import PIPELINE, publish
from tests.known_files import know_package
from tests.project import SHAPES, copy_params

VAE = "vae/diffusion_pytorch_model.safetensors"
SIZE = VideoSize(3, 32, 48)
NO_BYTES = Digest("0" * 32)


def build_project(root: Path) -> Path:
    """A project with the shipped parameters and a store that knows the package."""
    root.mkdir(exist_ok=True)
    return know_package(copy_params(root))


def build_empty_project(root: Path) -> Path:
    """A project without a parameter and without a video."""
    (root / "params").mkdir(parents=True)
    return know_package(root)


def nodes_of(root: Path, **overrides: str) -> dict[str, Node]:
    """The nodes of the shipped video with other values, such as `denoise_seed="7"`."""
    return dict(load(root, **overrides).graph.videos["demo"])


def load(root: Path, **overrides: str) -> Build:
    """The build of a project."""
    return load_build(root, {name.replace("_", ".", 1): value for name, value in overrides.items()}, is_read_only=True)


def line_of(root: Path, *, codes: Mapping[str, Digest] | None = None, **overrides: str) -> str:
    """What the shipped video would say of itself; `codes` are those that made it, by stage, the present ones else."""
    build = load(root, **overrides)
    *before, last = build.graph.videos["demo"].values()
    made = {node.stage: (codes or {}).get(node.stage) or code_of(build, node) for node in (*before, last)}
    lineage = [manifest_of(node, made[node.stage]) for node in before]
    return describe_provenance(last, lineage, made[last.stage])


def code_of(build: Build, node: Node) -> Digest:
    """The present code of a node's program."""
    return build.code[build.program_of(node).package]


def manifest_of(node: Node, code: Digest) -> Manifest:
    """A manifest of an artifact that no store has."""
    inputs = dict.fromkeys(node.input_artifacts, NO_BYTES)
    payload = PIPELINE[node.stage].makes.payload
    return Manifest.of(node, inputs, code=code, payload=payload, size_bytes=0, digest=NO_BYTES)


def write_mp4(path: Path, metadata: str, codec: str = "h264") -> Path:
    """A small video with this comment."""
    frames = (np.full((SIZE.height, SIZE.width, 3), shade, np.float32) for shade in np.linspace(-1, 1, SIZE.num_frames))
    write_video(
        frames,
        path,
        size=SIZE,
        fps=Fraction(8),
        codec=codec,
        crf=30,
        metadata=metadata,
        progress=lambda _done, _total: None,
    )
    return path


def publish_all(root: Path, **overrides: str) -> dict[str, Node]:
    """Put an artifact of each node of the shipped video into the project's store; by stage."""
    build = load(root, **overrides)
    nodes = build.graph.videos["demo"]
    for node in nodes.values():
        publish(Store(build.store.root), node, f"payload of {node.key}".encode(), code_of(build, node))
    return dict(nodes)


def change_vae(folder: Path) -> Path:
    """A copy of the built-in checkpoint in which one bit of the VAE is another."""
    shutil.copytree(SHAPES, folder)
    content = bytearray((folder / VAE).read_bytes())
    content[-1] ^= 1
    (folder / VAE).write_bytes(content)
    return folder
