"""Noise schedules by hand and against diffusers' scheduler; the loop over steps on a toy model."""

import functools
import math
from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.denoise.config import SchedulerConfig, is_guided
from stages.denoise.sampling import SamplingSettings, Schedule, make_schedule, sample, shift_sigmas
from stages.denoise.step import denoise_step
from stages.denoise.text_tokens import pack_text_tokens
from stages.denoise.torch_bridge import initial_noise
from stages.denoise.weights import DiTWeights
from stages.geometry import LatentSize
from stages.pipeline.denoise import DenoiseParams
from tests.denoise.builders import MESH, TOY, TOY_SIZE, build_prompt, load, write_checkpoint

pytestmark = pytest.mark.compiles

SHIFTS = st.floats(0.1, 100)
ROUNDING = 1e-6  # some units in the last place of float32
SCHEDULE = make_schedule(2, SchedulerConfig(shift=3.0))


def ignore(done: int, total: int) -> None:
    """A progress that nobody watches."""


def test_without_a_shift_steps_are_equal():
    schedule = make_schedule(4, SchedulerConfig(shift=1.0))
    assert schedule.sigmas.tolist() == [1.0, 0.75, 0.5, 0.25, 0.0]
    assert schedule.timesteps.tolist() == [1000.0, 750.0, 500.0, 250.0]


def test_a_shift_of_three_moves_steps_to_high_noise():
    schedule = make_schedule(4, SchedulerConfig(shift=3.0))
    assert schedule.sigmas.tolist() == np.array([1, 0.9, 0.75, 0.5, 0], np.float32).tolist()
    assert schedule.timesteps.tolist() == [1000.0, 900.0, 750.0, 500.0]


def test_a_flow_shift_takes_the_place_of_the_schedulers():
    ours = make_schedule(5, SchedulerConfig(shift=3.0), flow_shift=7.0)
    expected = make_schedule(5, SchedulerConfig(shift=7.0))
    assert np.array_equal(ours.sigmas, expected.sigmas)


@given(num_steps=st.integers(1, 200), shift=SHIFTS)
@settings(deadline=None)  # the machine may be busy
def test_schedules_equal_diffusers_to_the_bit(num_steps: int, shift: float):
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(sigmas=np.linspace(1.0, 0.0, num_steps + 1)[:-1])
    schedule = make_schedule(num_steps, SchedulerConfig(shift=shift))
    assert np.array_equal(schedule.sigmas, scheduler.sigmas.numpy())
    assert np.array_equal(schedule.timesteps, scheduler.timesteps.numpy())


@given(levels=st.lists(st.floats(0, 1, width=32), min_size=1, unique=True), shift=SHIFTS)
@settings(deadline=None)  # the machine may be busy
def test_shift_keeps_order_and_zero_and_one(levels: list[float], shift: float):
    sigmas = shift_sigmas(np.array([0.0, *sorted(levels), 1.0], np.float32), shift)
    assert (sigmas.dtype, sigmas[0]) == (np.float32, 0)
    assert abs(sigmas[-1] - 1) < ROUNDING
    assert (np.diff(sigmas) > -ROUNDING).all()


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> DiTWeights:
    return load(write_checkpoint(tmp_path_factory.mktemp("transformer")))


@pytest.fixture(scope="module")
def denoise(weights) -> Callable[..., np.ndarray]:
    """The toy model's latents; keyword arguments replace the usual ones."""

    def run(**changes) -> np.ndarray:
        arguments = {
            "prompts": (build_prompt(5, 3, seed=1), build_prompt(2, seed=2)),
            "noise": initial_noise(TOY_SIZE, seed=0, dtype="float32"),
            "schedule": SCHEDULE,
            "guidance_scale": 2.0,
            "window_size": 0,
            "progress": ignore,
            **changes,
        }
        prompts, window_size = arguments.pop("prompts"), arguments.pop("window_size")
        step = functools.partial(denoise_step, config=TOY, window_size=window_size, has_bounded_scores=True, mesh=MESH)
        text = pack_text_tokens(prompts, dtype=np.dtype(np.float32))
        return np.asarray(sample(step, weights, text, config=TOY, mesh=MESH, **arguments))

    return run


def test_progress_is_reported_after_each_step(denoise):
    seen: list[tuple[int, int]] = []
    denoise(progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]


def test_from_the_latents_after_any_step_the_rest_gives_the_same_bits(denoise):
    kept: dict[int, np.ndarray] = {}
    schedule = make_schedule(4, SchedulerConfig(shift=3.0))
    whole = denoise(schedule=schedule, keep=kept.__setitem__)
    assert [*kept] == [1, 2, 3, 4]
    for num_done, latents in kept.items():
        seen: list[tuple[int, int]] = []
        rest = denoise(
            schedule=schedule, noise=latents, num_done=num_done, progress=lambda *step, seen=seen: seen.append(step)
        )
        assert rest.tobytes() == whole.tobytes()
        assert seen == [(done, 4) for done in range(num_done + 1, 5)]


def test_what_is_kept_of_a_step_outlives_the_next_ones(denoise):
    kept: list[tuple[np.ndarray, bytes]] = []
    denoise(keep=lambda _done, latents: kept.append((latents, latents.tobytes())))
    assert all(latents.tobytes() == content and latents.flags.owndata for latents, content in kept)


def test_the_same_arguments_give_the_same_bits(denoise):
    assert denoise().tobytes() == denoise().tobytes()


def test_another_prompt_seed_guidance_and_schedule_compile_nothing(denoise):
    denoise()
    num_programs = denoise_step._cache_size()
    changed = denoise(
        prompts=(build_prompt(7, 1, seed=5), build_prompt(2, seed=2)),
        noise=initial_noise(TOY_SIZE, seed=9, dtype="float32"),
        schedule=make_schedule(3, SchedulerConfig(shift=5.0)),
        guidance_scale=6.0,
    )
    assert denoise_step._cache_size() == num_programs
    assert not np.array_equal(changed, denoise())


def test_a_scale_of_one_is_no_guidance():
    assert [is_guided(scale) for scale in (1.0, 1 + 1e-12, 1.01, 6.0)] == [False, False, True, True]


def test_with_a_scale_of_one_the_negative_prompt_has_no_weight(denoise):
    alone = denoise(guidance_scale=1.0, prompts=(build_prompt(5, 3, seed=1),))
    both = denoise(guidance_scale=1.0)
    np.testing.assert_allclose(alone, both, atol=1e-5)  # float32, values around 1


def test_guidance_moves_along_the_difference_of_both_prompts(denoise):
    """The first step is linear in the guidance scale."""
    first = make_schedule(1, SchedulerConfig())
    one, two, three = (denoise(schedule=first, guidance_scale=scale) for scale in (1.0, 2.0, 3.0))
    np.testing.assert_allclose(three - two, two - one, atol=1e-5)  # float32
    assert np.abs(two - one).max() > 1e-3  # the prompts differ


def test_a_window_over_all_video_tokens_changes_nothing(denoise):
    assert np.array_equal(denoise(window_size=math.prod(TOY_SIZE.shape[2:])), denoise(window_size=0))
    assert not np.array_equal(denoise(window_size=3), denoise(window_size=0))


def test_an_euler_step_equals_the_schedulers(denoise):
    """Given the velocity of the first step, read off a step that goes all the way from 1 to 0."""
    noise = torch.from_numpy(initial_noise(TOY_SIZE, seed=0, dtype="float32"))
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(sigmas=np.array([1.0, 0.5]))
    first = make_schedule(1, SchedulerConfig())
    velocity = noise - torch.from_numpy(denoise(schedule=first).copy())
    expected = scheduler.step(velocity, scheduler.timesteps[0], noise, return_dict=False)[0]
    half = denoise(schedule=Schedule(sigmas=SCHEDULE.sigmas[:2], timesteps=SCHEDULE.timesteps[:1]))
    np.testing.assert_allclose(half, expected, atol=1e-6)  # float32


def test_settings_are_the_parameters_of_denoise_but_dtype_and_file():
    assert {field.name for field in fields(SamplingSettings)} == DenoiseParams.model_fields.keys() - {
        "dtype",
        "from_file",
    }


def test_settings_know_the_size_of_the_latents_and_whether_there_is_guidance():
    guided = SamplingSettings(9, 96, 48, 20, guidance_scale=3.0, seed=0, flow_shift=None, window_size=0)
    assert (guided.size, guided.is_guided) == (LatentSize(3, 6, 3), True)
    assert not replace(guided, guidance_scale=1.0).is_guided
