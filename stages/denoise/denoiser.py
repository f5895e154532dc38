"""The DiT of a checkpoint as an object: weights on their devices and compiled steps, called with plain arrays.

Owns what stays from call to call. What is computed is in sampling.py and step.py; how weights are spread over devices
is said in sharding/.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import jax
import numpy as np
from jax.sharding import Mesh
from numpy.typing import NDArray

from stages.denoise.attention.bounded import MAX_SCORE
from stages.denoise.attention.kernels import uses_bounds
from stages.denoise.config import GuiderConfig, ModelConfig, is_guided, read_model_config
from stages.denoise.plan import StepPlan, lower_step
from stages.denoise.sampling import SamplingSettings, make_schedule, sample
from stages.denoise.score_bound import read_max_score
from stages.denoise.sharding.mesh import build_mesh
from stages.denoise.text_tokens import TextTokens, read_embeddings
from stages.denoise.torch_bridge import initial_noise
from stages.denoise.weights import DiTWeights, load_weights
from stages.errors import MeshError
from stages.machine.devices import pick_devices
from stages.machine.executables import CompileProgram, Executable, compile_in_memory
from stages.models.checkpoint import Checkpoint, component_folder, open_component, settings_file
from stages.models.weights import open_weights
from stages.pipeline.denoise import GUIDER, STAGE, TRANSFORMER
from stages.request.arguments import check_arguments
from stages.tensors.finite import require_finite

Progress: TypeAlias = Callable[[int, int], None]  # called with (how many are done, how many there are)


def _ignore(_done: int, _total: int) -> None:
    """For calls without a progress function."""


@dataclass(frozen=True)
class PreparedVideo:
    """A video that is ready to be denoised.

    Attributes:
        settings: of the video.
        text: of each branch of guidance.
        step: compiled for this video.
        executable: how the step was compiled or loaded just now; None when the denoiser had it from a video before.
    """

    settings: SamplingSettings
    text: TextTokens[NDArray[Any]]
    step: jax.stages.Compiled
    executable: Executable | None


class Denoiser:
    """The DiT of a checkpoint, ready to denoise.

    It holds the weights, spread over the devices of its mesh, and the steps that it has compiled: one for each size of
    a video, number of places for text tokens (buckets), window size, and with guidance or without.

    Attributes:
        checkpoint: that it was loaded from.
        config: settings of the checkpoint.
        dtype: of weights and latents, "bfloat16" or "float32".
        mesh: the devices.
        has_bounded_scores: whether attention needs no running maximum, for any video; False where nobody has asked,
            because these devices' attention does not depend on it.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        config: ModelConfig,
        weights: DiTWeights[jax.Array],
        *,
        dtype: str,
        mesh: Mesh,
        has_bounded_scores: bool,
        max_steps: int | None = None,
    ) -> None:
        """`weights` are those of the checkpoint, in `dtype`, spread over `mesh`; `max_steps` as in `load`."""
        self.checkpoint = checkpoint
        self.config = config
        self.dtype = dtype
        self.mesh = mesh
        self._weights = weights
        self.has_bounded_scores = has_bounded_scores
        self._max_steps = max_steps
        self._steps: dict[StepPlan, jax.stages.Compiled] = {}

    @classmethod
    def load(
        cls,
        checkpoint: Checkpoint,
        *,
        dtype: str,
        devices: Sequence[jax.Device] | None = None,
        mesh: str | Mesh = "auto",
        is_guided: bool = True,
        max_steps: int | None = None,
        progress: Progress = _ignore,
    ) -> "Denoiser":
        """Load a DiT; each device gets its part of the weights, and no other copy is kept.

        Args:
            checkpoint: from `resolve`; what is missing of a hub id is downloaded.
            dtype: "bfloat16" or "float32", whatever the files hold.
            devices: of one platform; None: all that JAX prefers.
            mesh: a layout of the devices, as in `build_mesh`; or what that has made, and then `devices` and `is_guided`
                have no effect.
            is_guided: arrange the devices for guidance: where there are two or more, each branch gets half of them.
            max_steps: compiled steps to hold at most, >= 1; a new one then replaces the oldest. None: all.
            progress: in bytes of the weights.
        Raises:
            ParamsError: there is no such dtype.
            CheckpointError: a component is missing, damaged, incomplete or of another architecture.
            MeshError: the devices cannot be arranged so.
        """
        check_arguments(STAGE, dtype=dtype)
        config = read_model_config(checkpoint)
        if isinstance(mesh, str):
            num_heads = config.transformer.num_attention_heads
            mesh = build_mesh(mesh, devices or pick_devices("auto"), num_heads=num_heads, is_guided=is_guided)
        files = open_weights(open_component(checkpoint, TRANSFORMER))
        weights = load_weights(files, config.transformer, dtype=dtype, mesh=mesh, progress=progress)
        is_asked = uses_bounds(mesh.devices.flat[0])
        is_bounded = is_asked and read_max_score(files, config.transformer) <= MAX_SCORE
        return cls(
            checkpoint, config, weights, dtype=dtype, mesh=mesh, has_bounded_scores=is_bounded, max_steps=max_steps
        )

    def is_of(self, checkpoint: Checkpoint, *, dtype: str, mesh: Mesh) -> bool:
        """Whether `load` would give the same for these arguments."""
        return (self.checkpoint, self.dtype, self.mesh) == (checkpoint, dtype, mesh)

    def denoise(
        self,
        embeddings: Mapping[str, NDArray[Any]],
        *,
        num_frames: int,
        height: int,
        width: int,
        num_inference_steps: int,
        guidance_scale: float,
        seed: int,
        flow_shift: float | None = None,
        window_size: int = 0,
        progress: Progress = _ignore,
        compile_program: CompileProgram = compile_in_memory,
    ) -> NDArray[Any]:
        """Denoise one video. A Python warning says so when the transformer would be guided a second time.

        Args:
            embeddings: the tensors of `TextEncoders.encode`.
            num_frames, height, width, num_inference_steps, guidance_scale, seed, flow_shift, window_size: as in
                `SamplingSettings`.
            progress: in steps.
            compile_program: compiles the step, if this object has none for such a video.
        Returns:
            Latents [1, 32, (num_frames - 1) / 4 + 1, height / 16, width / 16], of the model dtype, in DiT space.
        Raises:
            ParamsError: settings break their rules; lists all of them.
            ContractError: the embeddings are not those of such a checkpoint's text encoders.
            MeshError: the devices are arranged for guidance, and the guidance scale is 1.
            StageError: latents are not finite.
        """
        settings = SamplingSettings(
            num_frames, height, width, num_inference_steps, guidance_scale, seed, flow_shift, window_size
        )
        check_arguments(STAGE, **asdict(settings))
        guider = settings_file(self.checkpoint, GUIDER)
        if message := explain_second_guidance(self.config.guider, guidance_scale, where=guider):
            warnings.warn(message, stacklevel=2)
        text = read_embeddings(
            {name: np.asarray(array) for name, array in embeddings.items()},
            self.config.transformer,
            is_guided=settings.is_guided,
            dtype=self.dtype,
            num_video_tokens=settings.size.num_cells,
            where="embeddings",
        )
        return self.run(self.prepare(text, settings, compile_program=compile_program), progress=progress)

    def prepare(
        self, text: TextTokens[NDArray[Any]], settings: SamplingSettings, *, compile_program: CompileProgram
    ) -> PreparedVideo:
        """Get the step for a video: from a video before, or compiled now.

        Args:
            text: from `read_embeddings`, for this model dtype and these settings.
            settings: that keep their rules.
            compile_program: as in `denoise`.
        Raises:
            MeshError: the devices are arranged for guidance, and the guidance scale is 1.
        """
        if not settings.is_guided and self.mesh.shape["cfg"] > 1:
            raise MeshError(
                f"guidance_scale = {settings.guidance_scale}: the devices are arranged for guidance, "
                f"{dict(self.mesh.shape)}, and one half would have nothing to do. Load the denoiser with "
                "is_guided=False."
            )
        plan = StepPlan(
            config=self.config.transformer,
            size=settings.size,
            num_prompt_tokens=text.prompt.shape[1],
            num_glyph_tokens=text.glyph.shape[1],
            is_guided=settings.is_guided,
            dtype=self.dtype,
            window_size=settings.window_size,
            has_bounded_scores=self.has_bounded_scores,
        )
        executable = None
        if plan not in self._steps:
            if len(self._steps) == self._max_steps:
                self._steps.pop(next(iter(self._steps)))  # the oldest
            executable = compile_program(lower_step(plan, self.mesh))
            self._steps[plan] = executable.compiled
        return PreparedVideo(settings, text, self._steps[plan], executable)

    def run(
        self,
        video: PreparedVideo,
        *,
        progress: Progress,
        num_done: int = 0,
        latents: NDArray[Any] | None = None,
        keep: Callable[[int, NDArray[Any]], None] | None = None,
    ) -> NDArray[Any]:
        """Denoise a video that this object has prepared, or go on with one.

        Args:
            video: from `prepare`.
            progress: in steps, of all that the video has.
            num_done: steps that are done, of the same video.
            latents: after these steps, of the shape and dtype of the result; None before the first.
            keep: as in `sample`.
        Returns:
            [1, 32, f, h, w], of the model dtype, in DiT space.
        Raises:
            StageError: latents are not finite.
        """
        settings = video.settings
        result = sample(
            video.step,
            self._weights,
            video.text,
            initial_noise(settings.size, seed=settings.seed, dtype=self.dtype) if latents is None else latents,
            make_schedule(settings.num_inference_steps, self.config.scheduler, flow_shift=settings.flow_shift),
            config=self.config.transformer,
            mesh=self.mesh,
            guidance_scale=settings.guidance_scale,
            progress=progress,
            num_done=num_done,
            keep=keep,
        )
        transformer = component_folder(self.checkpoint, TRANSFORMER.name)
        require_finite(result, what="latents", parameter="denoise.dtype", dtype=self.dtype, checkpoint=transformer)
        return np.asarray(result)


def explain_second_guidance(own: GuiderConfig, guidance_scale: float, *, where: Path) -> str | None:
    """What to say when a transformer that needs no guidance is given some; None when it is used as it was made for.

    Args:
        own: the checkpoint's guider.
        guidance_scale: >= 1, no unit; of the video.
        where: the guider's file.
    """
    if is_guided(own.guidance_scale) or not is_guided(guidance_scale):
        return None
    return (
        f"{where}: its guidance_scale is 1.0, so the transformer holds the guidance already, and "
        f"denoise.guidance_scale = {guidance_scale} guides a second time, at twice the cost. Set it to 1.0."
    )
