"""What a wrong name was meant to be, for messages."""

import difflib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

# What other tools for images and videos call a parameter; only names that cannot mean anything else here.
_SYNONYMS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({
    "cfg": ("guidance_scale",),
    "cfg_scale": ("guidance_scale",),
    "frame_rate": ("fps",),
    "frames": ("num_frames",),
    "framerate": ("fps",),
    "guidance": ("guidance_scale",),
    "length": ("num_frames",),
    "negative": ("negative_prompt",),
    "num_steps": ("num_inference_steps",),
    "quality": ("crf",),
    "resolution": ("height", "width"),
    "shift": ("flow_shift",),
    "size": ("height", "width"),
    "steps": ("num_inference_steps",),
    "tiling": ("enable_tiling",),
    "video_length": ("num_frames",),
})  # fmt: skip


def near(name: str, names: Iterable[str]) -> str:
    """ " Did you mean `...`?" when some of `names` may have been meant by `name`, otherwise nothing.

    Names with a dot, such as "denoise.seed", are also found by their last part, and in whatever case they were typed.
    """
    matches = _find(name.lower(), list(names))
    if not matches:
        return ""
    *others, last = (f"`{match}`" for match in matches)
    return f" Did you mean {', '.join(others)} or {last}?" if others else f" Did you mean {last}?"


def _find(name: str, names: list[str]) -> list[str]:
    table, _, own = name.replace("-", "_").rpartition(".")
    meant = _SYNONYMS.get(own, (own,))
    dotted = {f"{table}.{each}" if table else each for each in meant}
    same = [each for each in names if each in dotted]
    return (
        same
        or [each for each in names if "." in each and each.rpartition(".")[2] in meant]
        or difflib.get_close_matches(name, names, n=1)
        or [each for each in names if "." in each and difflib.get_close_matches(own, [each.rpartition(".")[2]])]
    )
