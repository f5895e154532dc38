"""Forms of the decoder's causal convolution on one TPU chip, by what its compiler says: no TPU is needed.

    python -m benchmarks.tpu_conv_forms [TOPOLOGY]

Needs libtpu (the extra `preflight`). For each layer of a strip of 720p over eight chips, bfloat16, and each form: the
cycles that the compiler expects, millions; CPU seconds of compiling it; MiB of temporaries. Without a run on a chip the
compiler's estimate is the best measure there is.
"""

import re
import resource
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType

import jax
import jax.numpy as jnp
from jax.sharding import SingleDeviceSharding
from jaxtyping import Array

from stages.decode.convolution import Taps, convolve_by_product, convolve_each_row, convolve_each_tap, split_taps
from stages.preflight.target import find_target

LAYERS = (  # height, width, channels in and out
    (45, 10, 1024, 1024),
    (45, 10, 1024, 8192),
    (90, 20, 1024, 1024),
    (180, 40, 512, 512),
    (360, 80, 256, 256),
    (720, 160, 128, 128),
)


def each_tap(taps: Taps, kernel: Array) -> Array:
    """The form of a CPU, but that the taps are taken out of a whole kernel."""
    return convolve_each_tap(taps, split_taps(kernel))


FORMS: Mapping[str, Callable[[Taps, Array], Array]] = MappingProxyType(
    {"each tap": each_tap, "one product": convolve_by_product, "each row": convolve_each_row}
)
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')


def main() -> None:
    """Compile all forms of all layers and print a table."""
    topology = sys.argv[1] if len(sys.argv) > 1 else "v5e:2x4"
    device = find_target(topology, "auto").devices[0]
    print(f"{topology}, jax {jax.__version__}; million cycles, s of compiling, MiB\n")
    print("| height x width x channels | " + " | ".join(FORMS) + " |")
    print("|---|" + "---|" * len(FORMS))
    compile_layer(each_tap, (8, 8, 128, 128), device)  # what the first compilation costs is no form's
    for layer in LAYERS:
        cells = [compile_layer(form, layer, device) for form in FORMS.values()]
        print(f"| {layer[0]} x {layer[1]} x {layer[2]}, {layer[3]} | " + " | ".join(cells) + " |", flush=True)


def compile_layer(form: Callable[[Taps, Array], Array], layer: tuple[int, int, int, int], device: jax.Device) -> str:
    """Compile SiLU, edges and convolution of a frame, which leave the past of the next one."""
    height, width, in_channels, out_channels = layer

    def run(older: Array, newer: Array, frame: Array, kernel: Array) -> tuple[Array, Array, Array]:
        active = jax.nn.silu(frame.astype(jnp.float32)).astype(frame.dtype)
        padded = jnp.pad(active, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
        return newer, padded, form((older, newer, padded), kernel).astype(frame.dtype)

    def describe(*shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, jnp.bfloat16, sharding=SingleDeviceSharding(device))

    past = describe(1, height + 2, width + 2, in_channels)
    kernel = describe(3, 3, 3, in_channels, out_channels)
    lowered = jax.jit(run, donate_argnums=(0, 1)).lower(past, past, describe(1, height, width, in_channels), kernel)
    start = _cpu_s()
    compiled = lowered.compile()
    seconds = _cpu_s() - start
    cycles = sum(map(int, _CYCLES.findall(compiled.as_text() or "")))
    memory = compiled.memory_analysis()
    return f"{cycles / 1e6:.2f}, {seconds:.0f}, {memory.temp_size_in_bytes / 2**20:.0f}"  # type: ignore[union-attr]


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
