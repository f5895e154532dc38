"""`doit stop`: end what another `doit` makes at present."""

from collections.abc import Mapping, Sequence
from typing import Any

from stages.commands.command_line import DEBUG
from stages.commands.store_command import StoreCommand
from stages.errors import ParamsError, StoreError
from stages.keys import ArtifactId
from stages.machine.holder import Holder
from stages.machine.printable import printable
from stages.models.wording import name_some
from stages.request.draft import name_draft
from stages.request.names import near
from stages.run.build import Build
from stages.run.stopping import describe_stopped, stop_node

_MIN_KEY = 6  # hex digits by which a key may be typed


class Stop(StoreCommand):
    """Stops nodes, and waits until they are."""

    doc_purpose = "end what another `doit` makes at present"
    doc_usage = "VIDEO|TASK|KEY ... [stage.name=value ...]"
    doc_description = """\
Asks the `doit` that makes something of these videos to stop that, here or on another host that shares the store, and
waits until it has. Nothing that was finished is lost: a denoise is saved after its last step, and the next `doit` goes
on from there. What else that `doit` makes goes on if it runs with --continue; else it ends with exit code 1, after what
it makes beside it (`doit -n`). What was started with other parameters is named by its task, as that `doit` shows it.

Examples:
doit stop demo
doit stop demo denoise.seed=7
doit stop denoise:3f9ac1d2e0b4
"""
    cmd_options = (DEBUG,)
    takes_names = True
    takes_parameters = True
    interrupted = "What was asked to stop may still do so."

    def act(self, build: Build, options: Mapping[str, Any], names: Sequence[str]) -> int:  # noqa: ARG002
        """Stop all of them, or none when a name is nobody's or that of something that is not being made; 0."""
        made = build.leases.look().made
        if not names:
            raise ParamsError(f"doit stop: name what to stop: videos, tasks or keys. {_describe(build, made)}")
        found = {artifact: made[artifact] for name in names for artifact in _find(build, made, name)}
        nodes = {node.artifact: node for node in build.graph.all_nodes()}
        for artifact, holder in found.items():
            stop_node(artifact, holder, build.leases)
            node = nodes.get(artifact)
            videos = build.graph.videos_of(node) if node else ()
            if node and build.verdict(node).is_fresh:
                print(f"{artifact.title}: was finished before it could be stopped.")
                continue
            print(describe_stopped(node, artifact, build.store.root))
            if videos:
                print(f"  `{build.command_for(videos)}` makes it, from there on.")
        return 0


def _find(build: Build, made: Mapping[ArtifactId, Holder], name: str) -> list[ArtifactId]:
    """What a name means of what is being made. Raises StagesError: nothing."""
    stage, colon, key = name.rpartition(":")
    if name in build.graph.faults:
        raise build.graph.faults[name]
    videos = [build.graph.videos[each] for each in build.graph.sweeps.get(name, (name,)) if each in build.graph.videos]
    if videos:
        needed = {node.artifact for nodes in videos for node in nodes.values()}
        found = [artifact for artifact in made if artifact in needed]
    else:
        known = [*made, *(node.artifact for node in build.graph.all_nodes())]
        meant = [each for each in known if each.key.startswith(key) and (not colon or each.stage == stage)]
        if len(key) < _MIN_KEY or not meant:
            near_names = near(name, [*build.graph.videos, *(each.title for each in known)])
            raise ParamsError(f"{name}: no such video, task or key.{near_names} {_describe(build, made)}")
        found = [each for each in made if each in meant]
    if not found:
        typed = name_draft(name) if build.is_draft else name
        raise StoreError(f"{typed}: is not being made at present. {_describe(build, made)}")
    return found


def _describe(build: Build, made: Mapping[ArtifactId, Holder]) -> str:
    """All that is being made, in a sentence or two."""
    if not made:
        return "Nothing is being made at present."
    videos = {node.artifact: build.graph.videos_of(node) for node in build.graph.all_nodes()}
    names = [
        printable(f"{each.title}{f' ({name_some(videos[each])})' if each in videos else ''}, by {holder}")
        for each, holder in made.items()
    ]
    return f"Being made at present: {'; '.join(names)}."
