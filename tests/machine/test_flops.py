"""Operations of small programs, counted by hand."""

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.sharding import AbstractMesh, PartitionSpec

from stages.machine.flops import count_flops

MATRIX = jax.ShapeDtypeStruct((4, 4), jnp.float32)
PRODUCT = 2 * 4 * 4 * 4  # operations in a product of two such matrices


def count(function, *arguments: jax.ShapeDtypeStruct, **options: int) -> int:
    return count_flops(jax.jit(function).trace(*arguments).jaxpr.jaxpr, **options)


def test_a_product_of_matrices_is_two_operations_per_pair():
    batch = jax.ShapeDtypeStruct((3, 5, 7), jnp.float32)
    other = jax.ShapeDtypeStruct((3, 7, 2), jnp.float32)
    assert count(jnp.matmul, batch, other) == 2 * 3 * 5 * 7 * 2


def test_a_convolution_is_two_operations_per_weight_and_output_cell():
    frame = jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.float32)
    kernel = jax.ShapeDtypeStruct((3, 3, 3, 5), jnp.float32)

    def convolve(frame, kernel):
        return jax.lax.conv_general_dilated(frame, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    assert count(convolve, frame, kernel) == 2 * (6 * 6 * 5) * (3 * 3 * 3)


def test_a_scan_counts_once_per_iteration():
    def run(matrix):
        return jax.lax.scan(lambda carry, _: (carry @ carry, None), matrix, length=6)[0]

    assert count(run, MATRIX) == 6 * PRODUCT


def test_a_loop_whose_end_is_an_argument_counts_as_often_as_one_says():
    def run(matrix, end):
        return jax.lax.fori_loop(0, end, lambda _, carry: carry @ carry, matrix)

    assert count(run, MATRIX, jax.ShapeDtypeStruct((), jnp.int32), num_iterations=9) == 9 * PRODUCT


def test_of_the_branches_of_a_condition_the_longest_counts():
    def run(matrix, flag):
        return jax.lax.cond(flag, lambda m: m @ m @ m, lambda m: m @ m, matrix)

    assert count(run, MATRIX, jax.ShapeDtypeStruct((), jnp.bool_)) == 2 * PRODUCT


def test_what_every_device_does_counts_for_each():
    mesh = AbstractMesh((8,), ("x",))

    def run(matrix):
        spec = PartitionSpec()
        return jax.shard_map(lambda m: m @ m, mesh=mesh, in_specs=spec, out_specs=spec)(matrix)

    assert count(run, MATRIX) == 8 * PRODUCT


def test_a_kernel_counts_on_every_step_of_its_grid():
    def kernel(ref, out):
        out[...] = ref[...] @ ref[...]

    def run(matrix):
        return pl.pallas_call(kernel, out_shape=MATRIX, grid=(5,), interpret=True)(matrix)

    assert count(run, MATRIX) == 5 * PRODUCT
