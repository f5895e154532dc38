"""Seconds of a call, read from a compiled program's text."""

from dataclasses import asdict, replace

import pytest

from stages.denoise.attention.tiles import BUNDLES_PER_MILLION
from stages.machine.chips import CHIPS
from stages.preflight.schedule import Expected, expect

# A cycle is a second, a byte of memory a tenth, and of a link a hundredth; products take no time.
CHIP = replace(CHIPS["v5p"], peak_flops=1e30, hbm_bandwidth=10.0, clock_hz=1.0, link_bandwidth=100.0)


def cycles(number: int) -> str:
    return f'backend_config={{"window_config":{{"estimated_cycles":"{number}"}}}}'


def program(*lines: str, others: str = "") -> str:
    body = "\n".join(f"  {line}" for line in lines)
    return f"HloModule jit_f, is_scheduled=true\n\n{others}ENTRY %main (p: f32[8]) -> f32[8] {{\n{body}\n}}\n"


def expect_seconds(*lines: str, others: str = "") -> dict[str, float]:
    expected = expect(program(*lines, others=others), CHIP)
    assert expected is not None
    return {name: seconds for name, seconds in asdict(expected).items() if seconds}


FUSION = f"%f = f32[8]{{0}} fusion(%p), kind=kLoop, calls=%fused, {cycles(30)}"
GATHER = "f32[100]{0} all-gather{}(%p), channel_id=1, replica_groups={{0,1,2,3}}, dimensions={0}"


def test_what_the_compiler_has_an_estimate_for_is_added_up():
    assert expect_seconds(FUSION, f"ROOT %c = f32[8]{{0}} copy(%f), {cycles(12)}") == {"compute_s": 42}


def test_a_loop_takes_as_long_as_all_its_runs():
    body = (
        f"%body (c: (s32[], f32[8])) -> (s32[], f32[8]) {{\n  {FUSION}\n}}\n\n"
        "%condition (c: (s32[], f32[8])) -> pred[] {\n  %n = s32[] constant(5)\n}\n\n"
    )
    loop = f"%w = (s32[], f32[8]) while(%t), condition=%condition, body=%body, {cycles(7)}"
    assert expect_seconds(loop, FUSION, others=body) == {"compute_s": 5 * 30 + 30}


def test_a_collective_takes_what_others_send_over_two_links():
    gather = "%g = f32[100]{0} all-gather(%p), channel_id=1, replica_groups={{0,1,2,3},{4,5,6,7}}, dimensions={0}"
    assert expect_seconds(FUSION, gather) == {"compute_s": 30, "chips_s": pytest.approx(400 * 3 / 4 / 200)}


def test_groups_may_be_written_as_a_list_of_their_sizes():
    gather = "%g = f32[100]{0} all-gather(%p), channel_id=1, replica_groups=[2,4]<=[8], dimensions={0}"
    assert expect_seconds(FUSION, gather)["chips_s"] == pytest.approx(1.5)


def test_a_sum_over_chips_is_sent_twice():
    total = "%s = f32[100]{0} all-reduce(%p), channel_id=1, replica_groups={{0,1,2,3}}, to_apply=%add"
    assert expect_seconds(FUSION, total)["chips_s"] == pytest.approx(3)


def test_a_permutation_uses_one_link():
    permuted = "%s = f32[100]{0} collective-permute(%p), channel_id=1, source_target_pairs={{0,1}}"
    assert expect_seconds(FUSION, permuted)["chips_s"] == pytest.approx(4)


STARTED = "%g = (f32[2000], f32[8000]) all-gather-start(%p), channel_id=1, replica_groups={{0,1,2,3}}, dimensions={0}"


def test_a_collective_that_goes_on_beside_others_counts_as_far_as_it_is_waited_for():
    """8,000 numbers of which three quarters are sent take 120 s."""
    done = "%d = f32[8000]{0} all-gather-done(%g)"
    assert expect_seconds(STARTED, FUSION, done) == {"compute_s": 30, "chips_s": pytest.approx(90)}


def test_the_next_collective_waits_for_the_wires():
    permuted = "%s = f32[100]{0} collective-permute(%p), channel_id=2, source_target_pairs={{0,1}}"
    assert expect_seconds(FUSION, STARTED, permuted)["chips_s"] == pytest.approx(120 + 4)


def test_a_collective_within_fusions_counts_as_one_that_was_started():
    start = (
        "%first (a: f32[8]) -> f32[8000] {\n"
        "  %g = f32[8000]{0} all-gather(%a), channel_id=1, replica_groups={{0,1,2,3}}, dimensions={0}\n"
        '  ROOT %c = (f32[8000], u32[]) custom-call(%g), custom_call_target="AsyncCollectiveStart"\n}\n\n'
    )
    end = (
        "%last (a: f32[8]) -> f32[8000] {\n"
        '  ROOT %c = f32[8000]{0} custom-call(%a), custom_call_target="AsyncCollectiveDone"\n}\n\n'
    )
    lines = ("%s = f32[8]{0} fusion(%p), calls=%first", FUSION, "%e = f32[8]{0} fusion(%s), calls=%last")
    fused = "%fused (a: f32[8]) -> f32[8] {\n}\n\n"
    assert expect_seconds(*lines, others=start + end + fused) == {"compute_s": 30, "chips_s": pytest.approx(90)}


def test_a_copy_between_memories_counts_as_far_as_it_is_waited_for():
    start = "%c = (f32[100]{0:S(1)}, f32[100]{0}, u32[]) copy-start(%p)"
    assert expect_seconds(start, FUSION, "%d = f32[100]{0:S(1)} copy-done(%c)") == {
        "compute_s": 30,
        "memory_s": pytest.approx((2 * 400 + 4) / 2 / 10 - 30),
    }


def kernel(name: str, *, transcendentals: int = 0, size_bytes: int = 0) -> str:
    cost = f'"cost_estimate":{{"flops":"0","transcendentals":"{transcendentals}","bytes_accessed":"{size_bytes}"}}'
    return f'%{name}.3 = f32[8]{{0}} custom-call(%p), custom_call_target="tpu_custom_call", backend_config={{{cost}}}'


def test_attention_takes_its_schedule_shared_by_the_cores_of_a_device():
    found = expect_seconds(FUSION, kernel("bounded_attention", transcendentals=2_000_000))
    assert found["kernels_s"] == pytest.approx(2 * BUNDLES_PER_MILLION["TPU v5"] / 2)


def test_another_kernel_takes_what_it_reads_and_writes():
    assert expect_seconds(FUSION, kernel("norm_and_rotate", size_bytes=500))["kernels_s"] == pytest.approx(50)


def test_what_another_unit_does_has_no_cycles():
    assert expect_seconds(FUSION, f"%c = f32[8]{{0}} copy(%p), {cycles(2**63 - 1)}") == {"compute_s": 30}


@pytest.mark.parametrize("text", ["", program("ROOT %c = f32[8]{0} copy(%p)")])
def test_of_a_text_without_estimates_nothing_is_said(text: str):
    assert expect(text, CHIP) is None


def test_seconds_add_up_by_their_kind():
    assert (Expected(1, 2, 3, 4) + Expected(1, 1, 1, 1)) * 2 == Expected(4, 6, 8, 10)
    assert Expected(1, 2, 3, 4).total_s == 10
