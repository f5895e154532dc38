"""A denoise in this process, for measurements of what a run does beside it."""

from stages.denoise.denoiser import Denoiser, PreparedVideo
from stages.denoise.edge import DenoiseStage
from stages.keys import Node
from stages.machine.host_protocol import Hosts
from stages.run.build import Build
from stages.run.report import Report


def prepare(build: Build, node: Node) -> tuple[Denoiser, PreparedVideo]:
    """The denoiser of a node, and its video: loaded and compiled as the stage does it."""
    return DenoiseStage()._prepare(build.job(node), Report(ignore), Hosts())


def ignore(*_arguments: object) -> None:
    """For calls without a report or a progress."""
