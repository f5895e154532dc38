"""The planned step."""

from stages.denoise.config import TransformerConfig
from stages.denoise.plan import StepPlan, step_flops
from stages.geometry import LatentSize

FULL = StepPlan(TransformerConfig(), LatentSize(13, 45, 80), 256, 0, is_guided=True, dtype="bfloat16", window_size=0)


def test_fifty_guided_steps_of_the_real_model_need_1e17_operations():
    assert 1.15e17 < 50 * step_flops(FULL) < 1.3e17
