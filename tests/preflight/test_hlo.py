"""What is sent, read from a compiled program's text."""

import json

from stages.preflight.hlo import Collective, count_collectives
from tests.devices import EIGHT_DEVICES, run_python

# Written by hand after what libtpu writes: a loop that runs 10 times, a branch, an asynchronous operation, a pair.
TEXT = """\
HloModule jit_f, is_scheduled=true, num_partitions=8

%add (x: f32[], y: f32[]) -> f32[] {
  ROOT %sum = f32[] add(%x, %y)
}

%body.1 (carry: (s32[], bf16[4,8])) -> (s32[], bf16[4,8]) {
  %all-gather.1 = bf16[4,8]{1,0:T(8,128)(2,1)} all-gather(%part), channel_id=1, dimensions={1}
  %start = (bf16[4,2]{1,0}, bf16[4,8]{1,0}) all-gather-start(%part), channel_id=2, dimensions={1}
  %done = bf16[4,8]{1,0} all-gather-done(%start)
}

%condition.1 (carry: (s32[], bf16[4,8])) -> pred[] {
  %bound = s32[]{:T(128)} constant(10)
  ROOT %less = pred[] compare(%counter, %bound), direction=LT
}

%inner (carry: (s32[], f32[16])) -> (s32[], f32[16]) {
  %permute = f32[16]{0} collective-permute(%half), channel_id=3, source_target_pairs={{0,1}}
}

%never (carry: (s32[], f32[16])) -> pred[] {
  ROOT %less = pred[] compare(%counter, %limit), direction=LT
}

ENTRY %main (p: bf16[4,8]) -> bf16[4,8] {
  %loop = (s32[], bf16[4,8]) while(%tuple), condition=%condition.1, body=%body.1, metadata={op_name="jit(f)/while"}
  %known = (s32[], f32[16]) while(%other), condition=%never, body=%inner, backend_config={"known_trip_count":{"n":"3"}}
  %all-reduce = (f32[2]{0}, pred[3]{0}) all-reduce(%a, %b), channel_id=4, to_apply=%add
}
"""

SHARDED = """
import json
import jax, jax.numpy as jnp, numpy as np
from dataclasses import asdict
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from stages.preflight.hlo import count_collectives

mesh = Mesh(np.array(jax.devices()), ("chips",))
rows = jax.ShapeDtypeStruct((5, 8, 8), jnp.float32, sharding=NamedSharding(mesh, PartitionSpec(None, "chips")))
vector = jax.ShapeDtypeStruct((8,), jnp.float32, sharding=NamedSharding(mesh, PartitionSpec()))

def multiply(matrices, vector):
    def step(vector, matrix):
        product = jnp.tanh(matrix @ vector)
        return jax.lax.with_sharding_constraint(product, vector_sharding), None
    return jax.lax.scan(step, vector, matrices)[0]

vector_sharding = vector.sharding
compiled = jax.jit(multiply).lower(rows, vector).compile()
print(json.dumps([asdict(collective) for collective in count_collectives(compiled.as_text())]))
"""


def test_a_loops_body_counts_as_often_as_it_runs():
    assert count_collectives(TEXT) == (
        Collective("all-gather", 20, 20 * 4 * 8 * 2),
        Collective("all-reduce", 1, 2 * 4 + 3),
        Collective("collective-permute", 3, 3 * 16 * 4),
    )


CARRIED_ON = """\
%start (p: f32[2]) -> (f32[2], f32[8]) {
  %gather.1 = f32[8]{0} all-gather(%p), backend_config={"async_collective_fusion_config":{"flag_start":"-1"}}
  ROOT %call = (f32[2], f32[8]) custom-call(%gather.1), custom_call_target="AsyncCollectiveStart"
}

%go_on (p: f32[2]) -> f32[8] {
  %gather.2 = f32[8]{0} all-gather(%p), backend_config={"async_collective_fusion_config":{"flag_start":"2"}}
  ROOT %call = f32[8] custom-call(%p, %gather.2), custom_call_target="AsyncCollectiveDone"
}

ENTRY %main (p: f32[2]) -> f32[8] {
  %fusion.1 = (f32[2], f32[8]) fusion(%p), kind=kCustom, calls=%start
  %fusion.2 = f32[8] fusion(%fusion.1), kind=kCustom, calls=%go_on
}
"""


def test_what_is_carried_on_by_several_fusions_counts_once():
    assert count_collectives(CARRIED_ON) == (Collective("all-gather", 1, 8 * 4),)


STARTED = """ENTRY %main (p: f32[8]) -> f32[8] {
  %gather = ((f32[2]{0:T(256)}, f32[3]{0}), (f32[8]{0}, f32[12]{0})) all-gather-start(%a, %b), channel_id=1
  %scatter = (f32[32]{0}, f32[4]{0}) reduce-scatter-start(%c), channel_id=2
  %permute = (bf16[5,2]{1,0:T(8,128)(2,1)}, bf16[5,2]{1,0}, u32[], u32[]) collective-permute-start(%d), channel_id=3
  %reduce = (f32[2]{0}, f32[3]{0}) all-reduce-start(%a, %b), channel_id=4
}
"""


def test_of_what_is_started_the_results_count():
    assert count_collectives(STARTED) == (
        Collective("all-gather", 1, (8 + 12) * 4),
        Collective("all-reduce", 1, (2 + 3) * 4),
        Collective("collective-permute", 1, 5 * 2 * 2),
        Collective("reduce-scatter", 1, 4 * 4),
    )


def test_a_program_of_one_device_sends_nothing():
    assert (
        count_collectives("HloModule jit_f\n\nENTRY %main (p: f32[]) -> f32[] {\n  ROOT %p = f32[] parameter(0)\n}\n")
        == ()
    )


def test_no_text_is_nothing_sent():
    assert count_collectives("") == ()


def test_xlas_own_text_of_a_scan_is_understood():
    printed = run_python("-c", SHARDED, settings=EIGHT_DEVICES)
    assert json.loads(printed) == [{"kind": "all-gather", "count": 5, "size_bytes": 5 * 8 * 4}]
