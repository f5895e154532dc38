"""What is said before a run that makes videos of sweeps: how many, and how long that is expected to take."""

from collections.abc import Callable, Collection

from stages.run.build import Build
from stages.run.freshness import Due


def announce_sweeps(build: Build, say: Callable[[str], None], due: Due, names: Collection[str]) -> None:
    """`24 videos: 2 encodes, 24 denoises, 24 decodes, 24 exports, about 3 h 10 min`; nothing where no sweep is made.

    The time stands there only if earlier runs say it of all that is to be made.

    Args:
        build: of the run.
        say: shows a line.
        due: what the run makes.
        names: of its tasks.
    """
    if not build.graph.sweeps:
        return
    # neither is of any use in a run without sweeps, or when nothing is to be made
    from stages.explain.explanation import explain  # noqa: PLC0415
    from stages.explain.wording import say_time  # noqa: PLC0415
    from stages.run.size import describe_size  # noqa: PLC0415

    if size := describe_size(build.graph, due, names, is_draft=build.is_draft):
        steps = [step for step in explain(build, [*names]).steps if step.outcome != "fresh"]
        say(", ".join(part for part in (size, say_time(steps)) if part))
