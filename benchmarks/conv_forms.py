"""Forms of the decoder's causal convolution, timed in a chain of layers as wide as a decoder's.

    python -m benchmarks.conv_forms

Prints, for each size, the CPU time of one frame, of all threads, and relative to the form that the decoder has. Each
form gets its kernel arranged as suits it. All are compiled with the decoder's options but for the second column, which
has XLA's own.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stages.decode.convolution import arrange_for_pairs, convolve_pair, split_taps
from stages.decode.layers import ConvWeights, causal_conv
from stages.decode.plan import COMPILER_OPTIONS

NUM_LAYERS = 4
NUM_RUNS = 7  # the fastest counts: other work on the machine only adds
SIZES = (  # height, width, channels: low and wide, high and narrow, as at the two ends of a decoder
    (96, 96, 16),
    (256, 256, 16),
    (32, 32, 256),
    (128, 128, 32),
    (24, 24, 512),
    (48, 48, 256),
    (96, 96, 128),
    (192, 192, 64),
)
BLOCK_CELLS = 384  # of 96 to 768, 192 to 384 were best with 128 to 512 channels


@dataclass(frozen=True)
class Form:
    """A way to convolve.

    Attributes:
        arrange: the kernel [t, h, w, i, o] into what `convolve` takes; not timed.
        convolve: padded frames from the oldest to the present, and the arranged kernel, to a frame or a batch of two.
        num_frames: that it makes at once, of as many frames and the two before them.
        options: of the compiler.
    """

    arrange: Callable[[Array], Any]
    convolve: Callable[[Any, Any], Array]
    num_frames: int = 1
    options: Mapping[str, str] = field(default_factory=lambda: COMPILER_OPTIONS)  # 3.11 cannot hash it as a default


def main() -> None:
    """Time all forms and print a table."""
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}, float32, {NUM_LAYERS} layers, CPU time\n")
    print("| height x width x channels | " + " | ".join(FORMS) + " |")
    print("|---|" + "---|" * len(FORMS))
    for height, width, channels in SIZES:
        seconds = [time_form(form, height, width, channels) for form in FORMS.values()]
        cells = [f"{1000 * value:.1f} ms, {value / seconds[0]:.1f}" for value in seconds]
        print(f"| {height} x {width} x {channels} | " + " | ".join(cells) + " |", flush=True)


def time_form(form: Form, height: int, width: int, channels: int) -> float:
    """CPU seconds of one frame through the layers."""
    frame = jax.random.normal(jax.random.key(0), (1, height, width, channels))
    kernels = jax.random.normal(jax.random.key(1), (NUM_LAYERS, 3, 3, 3, channels, channels)) / (27 * channels) ** 0.5
    arranged = jax.block_until_ready([form.arrange(kernel) for kernel in kernels])

    @partial(jax.jit, compiler_options=dict(form.options))
    def run(frame: Array, kernels: Sequence[Any]) -> Array:
        for kernel in kernels:
            padded = jnp.pad(frame, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
            frame = form.convolve((0.5 * padded, 0.7 * padded, padded, 0.9 * padded)[: 2 + form.num_frames], kernel)
            frame = frame[:1] + frame[-1:]
        return frame

    run(frame, arranged).block_until_ready()
    return min(_time(lambda: run(frame, arranged).block_until_ready()) for _ in range(NUM_RUNS)) / form.num_frames


def _time(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def _convolve(frame: Float[Array, "b h w i"], kernel: Float[Array, "y x i o"]) -> Float[Array, "b h2 w2 o"]:
    return jax.lax.conv_general_dilated(frame, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def whole(kernel: Array) -> Array:
    """As it is."""
    return kernel


def fold(kernel: Array) -> Array:
    """Taps as channels: [h, w, 3 i, o]."""
    return jnp.moveaxis(kernel, 0, 2).reshape(3, 3, -1, kernel.shape[-1])


def one_per_tap(frames: tuple[Array, Array, Array], kernel: tuple[Array, Array, Array]) -> Array:
    """What the decoder does with single frames: a 2-D convolution for each tap in time."""
    older, newer, padded = frames
    weights = ConvWeights(kernel, jnp.zeros(kernel[0].shape[-1]))
    return causal_conv(padded[:, 1:-1, 1:-1], weights, (older, newer))[0]


def one_per_slice(frames: tuple[Array, Array, Array], kernel: Array) -> Array:
    """The same, the taps taken out of a whole kernel."""
    return one_per_tap(frames, split_taps(kernel))


def taps_in_channels(frames: tuple[Array, Array, Array], kernel: Array) -> Array:
    """One 2-D convolution over three times the channels."""
    return _convolve(jnp.concatenate(frames, axis=-1), kernel)


def nine_products(frames: tuple[Array, Array, Array], kernel: tuple[tuple[Array, ...], ...]) -> Array:
    """A matrix product for each place of the kernel, over three times the channels."""
    stacked = jnp.concatenate(frames, axis=-1)
    height, width = stacked.shape[1] - 2, stacked.shape[2] - 2
    shifts = [(y, x) for y in range(3) for x in range(3)]
    return sum(
        (stacked[:, y : y + height, x : x + width] @ kernel[y][x] for y, x in shifts),
        start=jnp.zeros((1, height, width, kernel[0][0].shape[-1])),
    )


def one_3d(frames: tuple[Array, Array, Array], kernel: Array) -> Array:
    """One 3-D convolution."""
    stacked = jnp.stack(frames, axis=1)
    layout = ("NDHWC", "DHWIO", "NDHWC")
    return jax.lax.conv_general_dilated(stacked, kernel, (1, 1, 1), "VALID", dimension_numbers=layout)[:, 0]


def blocks_of_rows(frames: tuple[Array, Array, Array], kernel: Array) -> Array:
    """One matrix product per block of rows, over all 27 places of the kernel side by side."""
    height, width = frames[0].shape[1] - 2, frames[0].shape[2] - 2
    num_rows = max(1, min(height, BLOCK_CELLS // width))
    num_blocks = -(-height // num_rows)
    matrix = kernel.reshape(-1, kernel.shape[-1])

    def convolve_rows(first: Array) -> Array:
        blocks = [jax.lax.dynamic_slice_in_dim(frame[0], first, num_rows + 2) for frame in frames]
        shifts = [(y, x) for y in range(3) for x in range(3)]
        places = [block[y : y + num_rows, x : x + width] for block in blocks for y, x in shifts]
        return jnp.concatenate(places, axis=-1) @ matrix

    # the last block ends where the frame does, and so may hold rows of the block before it
    firsts = jnp.minimum(jnp.arange(num_blocks) * num_rows, height - num_rows)
    blocks = jax.lax.map(convolve_rows, firsts)
    rows = blocks[:-1].reshape((num_blocks - 1) * num_rows, width, kernel.shape[-1])
    return jnp.concatenate([rows, blocks[-1, num_blocks * num_rows - height :]])[None]


FORMS: Mapping[str, Form] = MappingProxyType(
    {
        "a 2-D convolution per tap": Form(split_taps, one_per_tap),
        "four for two frames": Form(arrange_for_pairs, convolve_pair, num_frames=2),
        "the same, by YNNPACK": Form(split_taps, one_per_tap, options={}),
        "the same, of a whole kernel": Form(whole, one_per_slice),
        "taps folded into channels": Form(fold, taps_in_channels),
        "nine matrix products": Form(lambda kernel: tuple(map(tuple, fold(kernel))), nine_products),
        "a 3-D convolution": Form(whole, one_3d),
        "a product per block of rows": Form(whole, blocks_of_rows),
    }
)

if __name__ == "__main__":
    main()
