"""What can keep this stage from its work, before anything runs: settings of the text encoders that it cannot run.

Loads no torch. What depends on the tokens of a tokenizer, the stage's process alone can know.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from stages.geometry import MAX_GLYPH_TOKENS, MAX_PROMPT_TOKENS
from stages.models.settings import find_faults as find_faults_of_settings
from stages.models.settings import refuse_faulty
from stages.models.text_layouts import QWEN, T5, TextLayout
from stages.models.weight_headers import DTYPE_BYTES
from stages.pipeline.component import Component
from stages.pipeline.encode import TEXT_ENCODER, TEXT_ENCODER_2
from stages.pipeline.stage import HOST
from stages.run.checks import Chain, collect
from stages.run.weight_checks import find_weight_faults

_MODELS: Mapping[Component, TextLayout] = {TEXT_ENCODER: QWEN, TEXT_ENCODER_2: T5}


def find_faults(chain: Chain, parameters: Mapping[str, Any]) -> list[str]:
    """What keeps a node from being made, a message each."""
    faults = []
    for component, layout in _MODELS.items():
        faults += find_weight_faults(
            chain,
            component,
            HOST,
            parameter="encode.dtype",
            dtype=parameters["dtype"],
            anchors=tuple(f"{each}{layout.anchor}" for each in layout.prefixes),
            unread=layout.ignored,
        )
        faults += collect(partial(_check_settings, chain, component, layout))
    return faults


def size_bytes(chain: Chain, parameters: Mapping[str, Any]) -> int | None:
    """Bytes of the embeddings and masks, of the prompt and of the negative prompt."""
    widths = {component: _width(chain, component) for component in _MODELS}
    if not all(widths.values()):
        return None
    entries = MAX_PROMPT_TOKENS * (widths[TEXT_ENCODER] + 1) + MAX_GLYPH_TOKENS * (widths[TEXT_ENCODER_2] + 1)
    return 2 * entries * DTYPE_BYTES[parameters["dtype"]]


def _width(chain: Chain, component: Component) -> int:
    """Width of a text encoder's embeddings; 0 where its settings do not say it."""
    values = chain.settings(component).values
    inner = values.get("text_config", {})
    found = next((group[name] for group in (values, inner) for name in ("hidden_size", "d_model") if name in group), 0)
    return found if isinstance(found, int) else 0


def _check_settings(chain: Chain, component: Component, layout: TextLayout) -> None:
    settings = chain.settings(component)
    refuse_faulty(find_faults_of_settings(settings.values, layout.rules), where=settings.where)
