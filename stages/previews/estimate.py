"""What latents in the middle of a denoise are about to become."""

import numpy as np
from jaxtyping import Float


def estimate_clean(
    before: Float[np.ndarray, "c f h w"],
    after: Float[np.ndarray, "c f h w"],
    *,
    sigma_before: float,
    sigma_after: float,
) -> Float[np.ndarray, "c f h w"]:
    """The finished latents if the velocity stayed what it is: x0 = latents - sigma * velocity.

    The velocity is that of the way between two moments of one denoise, so nobody but the Euler steps has to compute it.

    Args:
        before: [c, f, h, w], any float dtype, DiT space; not read where `sigma_after` is 0.
        after: the same, one or several steps later.
        sigma_before, sigma_after: their shares of noise, 1 >= `sigma_before` > `sigma_after` >= 0.
    Returns:
        [c, f, h, w], float32.
    """
    late = after.astype(np.float32)
    if sigma_after == 0:
        return late
    velocity = (late - before.astype(np.float32)) / np.float32(sigma_after - sigma_before)
    return late - np.float32(sigma_after) * velocity
