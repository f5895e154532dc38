"""A project in which the shipped video has been made with several values, from tensors that a test chooses."""

from dataclasses import dataclass
from pathlib import Path

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from stages.keys import Node
from stages.provenance.project import Project, open_project
from stages.store.artifacts import Store
from tests.builders import publish
from tests.provenance.videos import build_project, code_of, line_of, load, write_mp4

SHAPE = (5, 32, 64, 3)  # [frames, height, width, colours]: as small as XPSNR is measured


@dataclass(frozen=True)
class Videos:
    """The project in the folder `root`."""

    root: Path

    @property
    def project(self) -> Project:
        """As a command opens it."""
        return open_project(self.root, {})

    @property
    def store(self) -> Store:
        """Its store."""
        return Store(self.root / "artifacts")

    def make(self, frames: NDArray[np.float64], *, latents: float = 0.0, **overrides: str) -> dict[str, Node]:
        """Make the shipped video with other values, such as `denoise_seed="7"`, and its link; its nodes."""
        build = load(self.root, **overrides)
        nodes = dict(build.graph.videos["demo"])
        payloads = {
            "encode": save({"prompt_embeds": np.full((1, 2, 3), len(str(overrides)), np.float32)}),
            "denoise": save({"latents": np.full((1, 32, 1, 2, 2), latents, np.float32)}),
            "decode": save({"frames": frames[None].astype(ml_dtypes.bfloat16)}),
            "export": write_mp4(self.root / "new.mp4", line_of(self.root, **overrides)).read_bytes(),
        }
        for node in nodes.values():
            if not build.verdict(node).is_fresh:
                publish(self.store, node, payloads[node.stage], code_of(build, node))
        build.links.point_to("demo", nodes["export"].artifact)
        return nodes


def build_videos(root: Path) -> Videos:
    """Without a video yet."""
    return Videos(build_project(root))


def gray(value: float = 0.0) -> NDArray[np.float64]:
    """Frames of one gray, in [-1, 1]."""
    return np.full(SHAPE, value)


def noise(seed: int = 0) -> NDArray[np.float64]:
    """Frames of noise, in [-0.9, 0.9]."""
    return np.random.default_rng(seed).uniform(-0.9, 0.9, SHAPE)


def changed(frames: NDArray[np.float64], *, first: int, by: float) -> NDArray[np.float64]:
    """Frames that differ from one on."""
    other = frames.copy()
    other[first:] += by
    return other
