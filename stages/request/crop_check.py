"""Whether a video's crop fits into its frames, before anything runs: a rule of parameters in two tables.

Where the size of the frames is not that of denoise's parameters, nothing is said here; export finds it out.
"""

from collections.abc import Mapping

from stages.geometry import SPATIAL_COMPRESSION
from stages.pipeline import decode, denoise
from stages.pipeline.crop import explain_misfit, read_crop
from stages.pipeline.denoise import DenoiseParams
from stages.pipeline.export import ExportParams
from stages.pipeline.rules import Table
from stages.pipeline.stages import Pipeline
from stages.request.layers import COMMAND_LINE, Faults, Tables


def check_crop(video: str, stages: Mapping[str, Table], found: Tables, pipeline: Pipeline, faults: Faults) -> None:
    """Add a fault where `crop` is larger than what denoise's `height` and `width` become.

    Args:
        video: its name.
        stages: its parameters, each of which is right by itself.
        found: the same as they were written, with the place.
        pipeline: the project's stages.
        faults: takes what is wrong.
    """
    for name, table in stages.items():
        if isinstance(table, ExportParams) and (crop := read_crop(table.crop)):
            frames = _denoised(name, stages, pipeline)
            if frames is not None and (misfit := explain_misfit(crop, width=frames.width, height=frames.height)):
                width, height = max(_denoisable(crop.width), frames.width), max(_denoisable(crop.height), frames.height)
                place = found[name]["crop"]
                of_video = f"For the video `{video}`, set" if place.where == COMMAND_LINE else "Set"
                line = (
                    f'{place.where}, {name}.crop = "{place.value}": {misfit} {of_video} denoise.width = {width} and '
                    f"denoise.height = {height}, or a smaller crop."
                )
                faults.add_of_value(line, place.where, video)


def _denoisable(side: int) -> int:
    """The least height or width in pixels, from this one on, that the VAE can make."""
    return -(-side // SPATIAL_COMPRESSION) * SPATIAL_COMPRESSION


def _denoised(exporter: str, stages: Mapping[str, Table], pipeline: Pipeline) -> DenoiseParams | None:
    """What decides the size of the frames that a stage reads: not a file, and no stage of the project's own."""
    decoder = pipeline.producers(pipeline[exporter]).get("frames")
    denoiser = pipeline.producers(decoder).get("latents") if decoder is decode.STAGE else None
    table = stages[denoiser.name] if denoiser is denoise.STAGE else None
    return table if isinstance(table, DenoiseParams) and table.file() is None else None
