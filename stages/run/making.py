"""One node of a build is made in its program's process, unless another run makes it meanwhile."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from stages.errors import StageError
from stages.keys import Node
from stages.pipeline.stage import Program
from stages.run.lookahead import has_room_ahead
from stages.run.needed_inputs import require_inputs
from stages.run.next_steps import name_artifact, with_what_stays
from stages.run.runner import Event
from stages.run.stopping import StopWatch
from stages.store.verdict import State

if TYPE_CHECKING:
    from stages.run.build import Build

# States of an artifact that can be read, or of which the stage that reads it says what is wrong.
_READABLE: tuple[State, ...] = ("stale", "corrupt")
_ELSEWHERE: tuple[State, ...] = ("collected", "remote")  # likewise where hosts of a fleet read it


def make_node(
    build: "Build",
    node: Node,
    observe: Callable[[Event], None],
    *,
    was_fresh: bool,
    ahead: Program | None,
    keeps_devices: Callable[[], bool],
    waits: bool,
) -> Event:
    """Make a node's artifact; arguments, result and errors are those of `Build.run`."""
    videos, runner = build.graph.videos_of(node), build.runner
    faults = build.precheck.find_faults(dict.fromkeys(videos, node.stage))
    if len(faults) == len(videos):  # else it is made for the others
        error = next(iter(faults.values()))
        raise StageError(f"{type(error).__name__}: {error}") from error
    stop = StopWatch(node, build.leases, lambda at_once: runner.stop(node, at_once=at_once))
    try:
        with build.lease(node, observe, waits=waits) as before, stop:
            if not was_fresh and build.verdict(node).is_fresh:
                return {"event": "result", "is_same_as_before": None, "made_by": str(before or "")}
            require_inputs(build, node, but=(*_READABLE, *(_ELSEWHERE if build.is_made_elsewhere else ())))
            ahead = ahead if has_room_ahead(build.machine.start_ahead) else None
            ending = runner.run(build.job(node, waits=waits), observe, ahead=ahead)
        _look_back(build, node, observe)
        return ending
    except StageError as error:
        raise _with_what_stays(build, StageError(stop.explain()) if stop.asked_by else error, node) from error
    finally:
        if not keeps_devices():
            runner.give_up_devices()
        build.store.sweep_drafts()


def _look_back(build: "Build", node: Node, observe: Callable[[Event], None]) -> None:
    """Say so if what has just been made cannot stay, because something else has changed meanwhile."""
    verdict = build.verdict(node)
    if not verdict.is_fresh and not (build.is_made_elsewhere and verdict.state in _ELSEWHERE):
        why = build.freshness.explain(node, verdict)
        observe({"event": "warning", "message": f"was made, and is to be made again by the next `doit`: {why}"})


def _with_what_stays(build: "Build", error: StageError, node: Node) -> StageError:
    """The same error, which names the artifact, not a draft of it, and says from what a next run goes on."""
    videos = build.graph.videos_of(node)
    before = [build.graph.videos[videos[0]][stage] for stage in node.inputs]
    kept = [build.store.payload(each.artifact) for each in before if build.verdict(each).is_fresh]
    text = name_artifact(str(error), store=build.store.root, folder=build.store.folder(node.artifact))
    return with_what_stays(text, kept, build.command_for(videos))
