"""The decoders that can take the stage over, against the native one: the same job, of the built-in checkpoint."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import stages
from stages.decode.edge import DecodeStage
from stages.diffusers_decode import edge as diffusers_decode
from stages.keys import Node
from stages.models.checkpoint import Checkpoint
from stages.run.job import Run
from stages.run.report import Report
from stages.store.artifacts import Store
from stages.tensors.files import read_tensors, write_tensors
from tests.builders import CODE, build_job, publish
from tests.decode.builders import random_latents
from tests.fork import NO_FORK, is_fork_installed
from tests.quick_compiler import quick_programs

pytestmark = pytest.mark.compiles

SHAPES = Checkpoint(Path(stages.__file__).parent / "models" / "builtin" / "shapes")
LATENTS = random_latents(3, 5, 6)
UNIT = 2**-8  # of bfloat16 from 0.5 to 1: frames that are equal in float32 are stored at most this far apart
WHOLE = {"enable_tiling": False, "tile_size": 256, "tile_overlap": 0.25, "dtype": "float32"}
TILED = WHOLE | {"enable_tiling": True, "tile_size": 64}
needs_fork = pytest.mark.skipif(not is_fork_installed(), reason=NO_FORK)


@pytest.fixture(scope="module", autouse=True)
def _quick_programs() -> Iterator[None]:
    with quick_programs():
        yield


@pytest.fixture(scope="module")
def programs() -> dict[str, Run]:
    """What does a job of each program."""
    return {"decode": DecodeStage().run, "diffusers_decode": diffusers_decode.open_stage()}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store") / "artifacts")


def decode(programs: dict[str, Run], store: Store, decoder: str, parameters: dict[str, object]) -> np.ndarray:
    """Frames of the stage, [f, h, w, 3], float32."""
    encode = Node("encode", {}, {}, {})
    denoise = Node("denoise", {}, {}, {"encode": encode.key})
    publish(store, encode)
    write_tensors(store.root.parent / "latents", {"latents": LATENTS})
    publish(store, denoise, (store.root.parent / "latents").read_bytes())
    node = Node("decode", parameters | {"decoder": decoder}, {}, {"denoise": denoise.key})
    job = build_job(node, SHAPES, store.root, CODE, {"platform": "auto", "mesh": "auto"})
    with store.draft() as draft:
        programs[job.program.name](job, draft, Report(lambda _event: None))
        return read_tensors(draft / job.makes.payload)["frames"][0].astype(np.float32)


def psnr_db(frames: np.ndarray, exact: np.ndarray) -> float:
    """Peak signal-to-noise ratio of frames in [-1, 1]."""
    error = float(np.mean(np.square(frames - exact)))
    return 10 * math.log10(4 / error) if error else math.inf


@pytest.mark.parametrize("decoder", ["diffusers", pytest.param("diffusers-tpu", marks=needs_fork)])
@pytest.mark.parametrize("parameters", [WHOLE, TILED], ids=["whole", "tiled"])
def test_a_decoder_that_sees_all_frames_stores_the_native_ones(
    programs: dict[str, Run], store: Store, decoder: str, parameters: dict[str, object]
):
    exact = decode(programs, store, "native", parameters)
    frames = decode(programs, store, decoder, parameters)
    assert np.abs(frames - exact).max() <= UNIT
    assert psnr_db(frames, exact) > 90  # 99 and more were measured: a value in a thousand is rounded the other way


@needs_fork
def test_the_forks_frame_by_frame_decode_is_another_picture_after_the_first_frame(
    programs: dict[str, Run], store: Store
):
    exact = decode(programs, store, "native", WHOLE)
    frames = decode(programs, store, "diffusers-tpu-framewise", WHOLE)
    assert psnr_db(frames[:1], exact[:1]) > 90
    assert 30 < psnr_db(frames[1:], exact[1:]) < 50  # 40 dB were measured, docs/diffusers-tpu.md
