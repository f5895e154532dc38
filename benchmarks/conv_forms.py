"""Forms of the decoder's causal convolution, timed in a chain of layers as wide as a decoder's.

    python -m benchmarks.conv_forms

Prints, for each size, the time of one frame, and relative to the first form. The decoder has that one on a TPU and for
narrow frames, blocks of rows for wide ones on a CPU (docs/decisions/0013).
"""

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stages.decode.convolution import convolve_by_blocks, convolve_by_taps

NUM_LAYERS = 4
NUM_RUNS = 7  # the fastest counts: other work on the machine only adds
SIZES = (  # height, width, channels: low and wide, high and narrow, as at the two ends of a decoder
    (12, 12, 64),
    (96, 96, 16),
    (256, 256, 16),
    (32, 32, 256),
    (128, 128, 32),
    (12, 12, 512),
    (24, 24, 512),
    (48, 48, 256),
    (96, 96, 128),
)

# Padded frames from the oldest to the present, and the kernel [t, h, w, i, o], to a frame.
Form = Callable[[tuple[Array, Array, Array], Array], Array]


def main() -> None:
    """Time all forms and print a table."""
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}, float32, {NUM_LAYERS} layers\n")
    print("| height x width x channels | " + " | ".join(FORMS) + " |")
    print("|---|" + "---|" * len(FORMS))
    for height, width, channels in SIZES:
        seconds = [time_form(form, height, width, channels) for form in FORMS.values()]
        cells = [f"{1000 * value:.1f} ms, {value / seconds[0]:.1f}" for value in seconds]
        print(f"| {height} x {width} x {channels} | " + " | ".join(cells) + " |", flush=True)


def time_form(form: Form, height: int, width: int, channels: int) -> float:
    """Seconds of one frame through the layers."""
    frame = jax.random.normal(jax.random.key(0), (1, height, width, channels))
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 3, channels, channels)) / (27 * channels) ** 0.5

    @jax.jit
    def run(frame: Array, kernel: Array) -> Array:
        for _ in range(NUM_LAYERS):
            padded = jnp.pad(frame, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
            frame = form((0.5 * padded, 0.7 * padded, padded), kernel)
        return frame

    run(frame, kernel).block_until_ready()
    return min(_time(lambda: run(frame, kernel).block_until_ready()) for _ in range(NUM_RUNS))


def _time(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _convolve(frame: Float[Array, "b h w i"], kernel: Float[Array, "y x i o"]) -> Float[Array, "b h2 w2 o"]:
    return jax.lax.conv_general_dilated(frame, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def taps_in_channels(frames: tuple[Array, Array, Array], kernel: Array) -> Array:
    """One 2-D convolution over three times the channels."""
    folded = jnp.moveaxis(kernel, 0, 2).reshape(3, 3, -1, kernel.shape[-1])
    return _convolve(jnp.concatenate(frames, axis=-1), folded)


def nine_products(frames: tuple[Array, Array, Array], kernel: Array) -> Array:
    """A matrix product for each place of the kernel, over three times the channels."""
    stacked = jnp.concatenate(frames, axis=-1)
    folded = jnp.moveaxis(kernel, 0, 2).reshape(3, 3, -1, kernel.shape[-1])
    height, width = stacked.shape[1] - 2, stacked.shape[2] - 2
    shifts = [(y, x) for y in range(3) for x in range(3)]
    return sum(
        (stacked[:, y : y + height, x : x + width] @ folded[y, x] for y, x in shifts),
        start=jnp.zeros((1, height, width, kernel.shape[-1])),
    )


def one_3d(frames: tuple[Array, Array, Array], kernel: Array) -> Array:
    """One 3-D convolution."""
    stacked = jnp.stack(frames, axis=1)
    layout = ("NDHWC", "DHWIO", "NDHWC")
    return jax.lax.conv_general_dilated(stacked, kernel, (1, 1, 1), "VALID", dimension_numbers=layout)[:, 0]


FORMS: Mapping[str, Form] = MappingProxyType(
    {
        "a 2-D convolution per tap": convolve_by_taps,
        "blocks of rows": convolve_by_blocks,
        "taps folded into channels": taps_in_channels,
        "nine matrix products": nine_products,
        "a 3-D convolution": one_3d,
    }
)

if __name__ == "__main__":
    main()
