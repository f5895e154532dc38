"""What `doit preflight` does: asks for the programs of videos, from the store or by a process that compiles them."""

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

from stages.errors import ParamsError, StageError, StagesError
from stages.keys import Digest
from stages.machine.chips import chip_of_topology
from stages.models.checkpoint import Checkpoint
from stages.pipeline.decode import NATIVE, DecodeParams
from stages.pipeline.stages import read_pipeline
from stages.preflight.answers import Alternative, Change, Row, propose, read_answer
from stages.preflight.questions import FIGURES, PROGRAM, Question, TargetParameters, ask, describe_target
from stages.request.names import near
from stages.request.params import Params, load_params
from stages.request.tables import MachineParams
from stages.request.video_params import VideoParams
from stages.run.fingerprint import fingerprint
from stages.run.job import Job
from stages.run.runner import Runner
from stages.run.worker import Workers
from stages.store.artifacts import Store
from stages.store.layout import LOGS
from stages.store.stat_cache import STAT_CACHE, StatCache

_MAX_TRIES = 3  # programs that are compiled to find one alternative
_INSTALL = "pip install -e '.[preflight]'"


@dataclass(frozen=True)
class Survey:
    """What was found out.

    Attributes:
        rows: one for each program; programs of several videos that are alike share one. Denoise first.
        not_compiled: videos by the decoder that takes the native one's place, of which nothing is known.
        faults: by video, why nothing can be asked of it.
    """

    rows: tuple[Row, ...]
    not_compiled: Mapping[str, tuple[str, ...]]
    faults: Mapping[str, StagesError] = field(default_factory=dict)


def survey(
    root: Path,
    names: Sequence[str],
    topology: str,
    overrides: Mapping[str, str],
    observe: Callable[[str], None],
) -> Survey:
    """Find out what videos need.

    Args:
        root: the project's folder.
        names: of videos; none means all.
        topology: such as "v6e:2x4", or "" for this machine.
        overrides: parameters by dotted name, as on doit's command line.
        observe: called with what goes on at present, in words.
    Raises:
        StagesError: parameters are wrong, something is not installed, or the store is damaged. What is wrong with one
            program is in its row.
    """
    if not (root / "params").is_dir():
        raise ParamsError(f"{root}: holds no params/. Run this in the folder of dodo.py.")
    params = load_params(root, overrides, read_pipeline(root))
    videos, faults = _select(params, names)
    if topology:
        chip_of_topology(topology)
        _require_compiler(topology)
    store = Store(root / Path(params.machine.artifacts).expanduser())
    with _surveyor(root, store, topology, params.machine, observe) as surveyor:
        rows = surveyor.rows(videos, faults)
        rows = [
            row if row.fits or row.error else surveyor.find_alternatives(row, videos[row.videos[0]]) for row in rows
        ]
    sound = {name: video for name, video in videos.items() if name not in faults}
    return Survey(tuple(rows), _not_compiled(sound), faults)


@contextmanager
def _surveyor(
    root: Path, store: Store, topology: str, machine: MachineParams, observe: Callable[[str], None]
) -> Iterator["_Surveyor"]:
    cache = StatCache(store.root / STAT_CACHE)
    code = fingerprint(PROGRAM.package, cache)
    cache.save()
    runner = Workers(root, store.root / LOGS)
    try:
        yield _Surveyor(root, store, runner, code, topology, machine, observe)
    finally:
        runner.close()
        store.sweep_drafts()


@dataclass(frozen=True)
class _Surveyor:
    """Asks with the present code; starts a process when the store has no answer."""

    root: Path
    store: Store
    runner: Runner
    code: Digest
    topology: str
    machine: MachineParams
    observe: Callable[[str], None]

    def rows(self, videos: Mapping[str, VideoParams], faults: dict[str, StagesError]) -> list[Row]:
        """The answers for all videos; why one cannot be asked for is added to `faults`."""
        target = describe_target(self.topology, self.machine)
        asked: dict[tuple[str, str, int], tuple[Question, list[str]]] = {}
        for name, video in videos.items():
            try:
                questions = self._ask(name, video, target, self.machine)
            except StagesError as error:
                faults[name] = error
                continue
            for question in questions:
                program = (question.stage, question.node.key, question.num_calls)
                asked.setdefault(program, (question, []))[1].append(name)
        in_order = sorted(asked.values(), key=lambda entry: entry[0].stage != "denoise")
        return [self._row(question, tuple(names), videos[names[0]]) for question, names in in_order]

    def find_alternatives(self, row: Row, video: VideoParams) -> Row:
        """The row with settings that were compiled and fit, at most one for each parameter that can be changed."""
        found: list[Alternative] = []
        try:
            for changes in propose(row, video, self.machine):
                found += self._try(row, changes)
        except StageError as error:
            return replace(row, alternatives=tuple(found), error=str(error), traceback=_format(error))
        return replace(row, alternatives=tuple(found))

    def _ask(
        self, name: str, video: VideoParams, target: TargetParameters, machine: MachineParams
    ) -> Sequence[Question]:
        try:
            return ask(video, self.root, target, mesh=machine.mesh)
        except StagesError as error:
            raise type(error)(f"{name}: {error}") from error

    def _row(self, question: Question, names: tuple[str, ...], video: VideoParams) -> Row:
        try:
            return self._answer(question, names, video, self.machine)
        except StageError as error:
            return Row(question, names, figures=None, run={}, error=str(error), traceback=_format(error))

    def _try(self, row: Row, changes: Iterator[Change]) -> list[Alternative]:
        """The first of the changes that fits, if one of the nearest does."""
        for change in islice(changes, _MAX_TRIES):
            target = describe_target(self.topology, change.machine)
            questions = self._ask(row.videos[0], change.video, target, change.machine)
            question = next(question for question in questions if question.stage == row.question.stage)
            names = (f"{row.videos[0]} with {change.setting}",)
            answer = self._answer(question, names, change.video, change.machine)
            if answer.fits and answer.total_bytes is not None:
                return [Alternative(change.setting, answer.total_bytes)]
        return []

    def _answer(self, question: Question, names: tuple[str, ...], video: VideoParams, machine: MachineParams) -> Row:
        """The answer in the store, or a new one. Raises StageError, which names program and checkpoint."""
        if not self.store.verdict(question.node, self.code).is_fresh:
            where = f" for {question.topology}" if question.topology else ""
            what = f"{question.stage} of {', '.join(names)}{where}"
            job = Job(
                node=question.node,
                parameters=question.node.parameters,
                program=PROGRAM,
                makes=FIGURES,
                inputs={},
                rank=0,
                components=(),
                checkpoint=Checkpoint(Path()),
                store=self.store.root,
                code=self.code,
                machine=machine.model_dump(),
                waits=False,
            )
            try:
                self.runner.run(
                    job, lambda event: self.observe(f"{what}: {event.get('name', event.get('message', ''))}")
                )
            except StageError as error:
                raise StageError(f"{what}, checkpoint {video.model.checkpoint}: {error}") from error
        return read_answer(self.store, question, names)


def _format(error: StageError) -> str:
    """The error's traceback, with that of the process in which it happened."""
    return "".join(traceback.format_exception(error))


def _not_compiled(videos: Mapping[str, VideoParams]) -> dict[str, tuple[str, ...]]:
    """Videos by decoder, where it is not the native one."""
    by_video = {name: video.table(DecodeParams).decoder for name, video in videos.items()}
    return {
        decoder: tuple(name for name, own in by_video.items() if own == decoder)
        for decoder in sorted({*by_video.values()} - {NATIVE})
    }


def _select(params: Params, names: Sequence[str]) -> tuple[dict[str, VideoParams], dict[str, StagesError]]:
    """The videos of these names, or all: parameters of those that have some, faults of the others."""
    known = {**params.videos, **params.faults}
    for name in names:
        if name not in known and name not in params.sweeps:
            raise ParamsError(f"{name}: there is no params/videos/{name}.toml.{near(name, known)}")
    chosen = [video for name in names for video in params.sweeps.get(name, (name,))] or [*known]
    videos = {name: params.videos[name] for name in chosen if name in params.videos}
    return videos, {name: params.faults[name] for name in chosen if name in params.faults}


def _require_compiler(topology: str) -> None:
    if find_spec("libtpu") is None:
        raise StageError(
            f"--topology {topology}: the TPU compiler, libtpu, is not installed. It needs no TPU, but Linux on x86-64: "
            f"{_INSTALL}"
        )
