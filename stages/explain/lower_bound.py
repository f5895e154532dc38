"""What a node cannot take less than: the answer of an earlier `doit preflight` for this machine, where there is one.

Nothing is compiled, and an answer is not marked as used: this only looks.
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from stages.errors import StagesError
from stages.keys import Digest, Node
from stages.machine.json_files import read_json
from stages.preflight.answers import Row
from stages.preflight.questions import PROGRAM, Question, TargetParameters, ask, describe_target
from stages.request.params import Params, load_params
from stages.run.build import Build
from stages.run.fingerprint import Fingerprinter


class LowerBounds:
    """Those of one project, asked for when they are needed."""

    def __init__(self, build: Build, fingerprinter: Fingerprinter) -> None:
        """`fingerprinter` says which code the answers must be of."""
        self._build = build
        self._fingerprinter = fingerprinter
        self._questions: dict[str, Mapping[str, Question]] = {}

    def find(self, node: Node) -> float | None:
        """Seconds; None where nobody has asked, or the chips' peak is not known."""
        question = self._ask(self._build.graph.videos_of(node)[0]).get(node.stage)
        store, answer = self._build.store, None if question is None else question.node
        if question is None or answer is None or not store.folder(answer.artifact).is_dir():
            return None  # the code of preflight need not be looked at
        if not store.verdict(answer, self._code).is_fresh:
            return None
        try:
            return Row(question, (), read_json(store.payload(answer.artifact)), run={}).least_s
        except (OSError, ValueError, KeyError, TypeError):  # damaged: `doit preflight` says so
            return None

    def _ask(self, video: str) -> Mapping[str, Question]:
        """The questions on a video, by stage."""
        if video not in self._questions:
            try:
                found = ask(self._params.videos[video], self._root, self._target, mesh=self._build.machine.mesh)
            except StagesError:  # it cannot be asked for, as `doit preflight` says
                found = []
            self._questions[video] = {question.stage: question for question in found}
        return self._questions[video]

    @property
    def _root(self) -> Path:
        return self._build.root

    @cached_property
    def _target(self) -> TargetParameters:
        """This machine, looked at once: of thousands of videos, that was two thirds of the time."""
        return describe_target("", self._build.machine)

    @cached_property
    def _params(self) -> Params:
        build = self._build
        return load_params(self._root, build.overrides, build.pipeline, is_draft=build.is_draft)

    @cached_property
    def _code(self) -> Digest:
        return self._fingerprinter.fingerprint(PROGRAM.package)
