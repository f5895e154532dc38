"""A project that people edit at random, what they may expect to run, and edits for hypothesis to choose from.

Parameters, graph, keys, store and verdicts are the real ones. In place of the stages' processes stands a function that
makes a payload of all that may decide it, so that a history of a dozen runs takes a second.
"""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from hypothesis import strategies as st

from stages.keys import Node, digest_bytes
from stages.run.build import Build
from stages.run.loading import load_build
from tests.builders import PIPELINE, publish
from tests.known_files import know_package
from tests.project import copy_params, set_defaults

VIDEOS = ("first", "second")
VALUES: dict[str, tuple[Any, ...]] = {  # the first of each is the default of a new video
    "encode.prompt": ("a circle", "a square"),
    "denoise.seed": (1, 2),
    "denoise.num_inference_steps": (4, 8),
    "decode.decoder": ("native", "diffusers"),
    "decode.enable_tiling": (False, True),
    "export.codec": ("h264", "vp9"),
    "export.fps": (8, 24),
}
STAGES = PIPELINE.names
DIFFUSERS = "stages.diffusers_decode"
_PROGRAMS = (*(f"stages.{stage}" for stage in STAGES), DIFFUSERS)  # their packages
Content: TypeAlias = tuple[Any, ...]  # what decides the bytes of a result
Identity: TypeAlias = tuple[Any, ...]  # what decides its key


@dataclasses.dataclass
class Made:
    """What was made under an identity: with which code, from which content, and what came out."""

    code: int
    source: Content
    content: Content
    is_forgotten: bool = False


class Project:
    """A project that people edit, and what they may expect to run."""

    def __init__(self, root: Path) -> None:
        """Two videos with equal parameters, and an empty store, in the folder `root`."""
        self.root = know_package(copy_params(root))
        (root / "params/videos/demo.toml").unlink()
        self.chosen = {video: {name: values[0] for name, values in VALUES.items()} for video in VIDEOS}
        self.code = dict.fromkeys(_PROGRAMS, 0)
        self.flavour = dict.fromkeys(_PROGRAMS, 0)
        self.made: dict[Identity, Made] = {}
        self.write()

    def set_parameter(self, video: str, name: str, place: int) -> None:
        """A person edits a video's file."""
        self.chosen[video][name] = VALUES[name][place]
        self.write()

    def write(self, comment: str = "") -> None:
        """Write the videos' files; what they look like changes nothing."""
        for video, chosen in self.chosen.items():
            lines = [comment]
            for table in dict.fromkeys(name.split(".")[0] for name in chosen):
                own = {name.split(".")[1]: value for name, value in chosen.items() if name.startswith(f"{table}.")}
                lines += [f"[{table}]", *(f"{name} = {json.dumps(value)}{comment}" for name, value in own.items())]
            (self.root / f"params/videos/{video}.toml").write_text("\n".join(lines) + "\n")

    def set_up_the_machine(self, platform: str) -> None:
        """Settings of the machine change nothing."""
        set_defaults(self.root, "machine", platform=platform)

    def change_code(self, program: str, changes_bytes: bool) -> None:
        """A program's code changes, and with it the bytes it makes, or not."""
        self.code[program] += 1
        self.flavour[program] += changes_bytes

    def forget(self, stage: str) -> None:
        """`doit forget <stage>`: those of the present parameters."""
        build = self.load()
        for node in build.graph.nodes(stage).values():
            build.store.forget(node.artifact)
        for identity in {self.identity(video, stage) for video in VIDEOS} & self.made.keys():
            self.made[identity].is_forgotten = True

    def clean(self, stage: str) -> None:
        """`doit clean <stage>`: those of the present parameters."""
        build = self.load()
        for node in build.graph.nodes(stage).values():
            build.store.remove(node.artifact)
        for video in VIDEOS:
            self.made.pop(self.identity(video, stage), None)

    def load(self) -> Build:
        code = {program: digest_bytes(f"{program} {version}".encode()) for program, version in self.code.items()}
        return dataclasses.replace(load_build(self.root, {}), code=code)

    def run_build(self) -> list[str]:
        """Stages of the nodes that were not fresh, in order, each made as its process would."""
        build, ran = self.load(), []
        for stage in STAGES:
            for node in build.graph.nodes(stage).values():
                if not build.verdict(node).is_fresh:
                    publish(build.store, node, self.payload(build, node), build.code[build.program_of(node).package])
                    ran.append(stage)
        return ran

    def payload(self, build: Build, node: Node) -> bytes:
        sources = [build.store.payload(artifact).read_bytes().hex() for artifact in node.input_artifacts]
        return repr((node.stage, dict(node.parameters), self.flavour[build.program_of(node).package], sources)).encode()

    def identity(self, video: str, stage: str) -> Identity:
        """A stage, its own parameters, and the same of all stages before it."""
        place = STAGES.index(stage)
        own = tuple(value for name, value in self.chosen[video].items() if name.startswith(f"{stage}."))
        return (stage, own, self.identity(video, STAGES[place - 1]) if place else ())

    def run_rules(self) -> list[str]:
        """A result is made when there is none, when it was forgotten, when the code is another one than it was made
        with, or when what it was made from has other bytes now. It changes only what reads it."""
        ran = []
        for stage in STAGES:
            for identity in dict.fromkeys(self.identity(video, stage) for video in VIDEOS):
                source = self.made[identity[2]].content if identity[2] else ()
                program = DIFFUSERS if "diffusers" in identity[1] else f"stages.{stage}"
                made = self.made.get(identity)
                if made is None or made.is_forgotten or (made.code, made.source) != (self.code[program], source):
                    content = (stage, identity[1], self.flavour[program], source)
                    self.made[identity] = Made(self.code[program], source, content)
                    ran.append(stage)
        return ran


_STAGE = st.sampled_from(STAGES)
EDITS: st.SearchStrategy[Callable[[Project], None]] = st.one_of(
    st.builds(
        lambda video, name, place: lambda project: project.set_parameter(video, name, place),
        st.sampled_from(VIDEOS),
        st.sampled_from([*VALUES]),
        st.integers(0, 1),
    ),
    st.builds(
        lambda program, changes: lambda project: project.change_code(program, changes),
        st.sampled_from(_PROGRAMS),
        st.booleans(),
    ),
    st.builds(lambda stage: lambda project: project.forget(stage), _STAGE),
    st.builds(lambda stage: lambda project: project.clean(stage), _STAGE),
    st.builds(lambda comment: lambda project: project.write(comment), st.sampled_from(["  # a comment", "\n"])),
    st.builds(lambda name: lambda project: project.set_up_the_machine(name), st.sampled_from(["auto", "cpu"])),
)
