"""How a text model may lie in a checkpoint: by itself, as diffusers saves it, or as a part of the model it comes from.

Owns the names of settings and tensors in both. Reading them is in encode/components.py; nothing here loads torch.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from stages.errors import CheckpointError
from stages.models.settings import Rule
from stages.models.tensor_names import explain_prefix, find_prefix


@dataclass(frozen=True)
class TextLayout:
    """Where a text model's settings and tensors are.

    Attributes:
        architecture: of the model by itself, as `config.json` names it.
        whole: the architecture of which it is a part.
        model_type: as transformers' settings of the model by itself name it.
        anchor: a tensor of the model that no other part has.
        prefixes: what its tensors' names may begin with.
        ignored: what the names of the other parts' tensors begin with; these are never read.
    """

    architecture: str
    whole: str
    model_type: str
    anchor: str
    prefixes: tuple[str, ...]
    ignored: tuple[str, ...]

    @property
    def rules(self) -> Mapping[str, Rule]:
        """What `config.json` must say of the model."""
        allowed = ([self.architecture], [self.whole])
        return {"architectures": Rule(" or ".join(map(str, allowed)), lambda found: found in allowed)}

    def is_whole(self, settings: Mapping[str, Any]) -> bool:
        """Whether a `config.json` is that of the model of which this is a part."""
        return settings.get("architectures") == [self.whole]

    def select_settings(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """The model's own settings: in `text_config`, as transformers writes it now, or beside those of other parts."""
        if not self.is_whole(settings):
            return settings
        own = settings.get(_NESTED)
        chosen = own if isinstance(own, dict) else {name: settings[name] for name in settings.keys() - _OTHER_PARTS}
        return MappingProxyType({**chosen, "model_type": self.model_type})

    def select_names(self, names: Collection[str], *, is_whole: bool, where: str) -> dict[str, str]:
        """The model's tensors: their names in its files, by its own names.

        Args:
            names: of all tensors of the files.
            is_whole: leave out those of other parts. What is of no part stays, to be reported as spare.
            where: the component's folder, for messages.
        Raises:
            CheckpointError: the names have a prefix that is none of the known ones.
        """
        prefix = next((each for each in self.prefixes if f"{each}{self.anchor}" in names), None)
        if prefix is None:
            if unknown := find_prefix({self.anchor}, names):
                raise CheckpointError(explain_prefix(unknown, self.anchor, where))
            prefix = ""
        return {name.removeprefix(prefix): name for name in names if not (is_whole and name.startswith(self.ignored))}


_NESTED = "text_config"
_OTHER_PARTS = {_NESTED, "vision_config"}
QWEN: Final = TextLayout(
    architecture="Qwen2_5_VLTextModel",
    whole="Qwen2_5_VLForConditionalGeneration",
    model_type="qwen2_5_vl_text",
    anchor="embed_tokens.weight",
    # by itself; as transformers 4.52 and later write it; its base model; as Qwen2.5-VL was published
    prefixes=("", "model.language_model.", "language_model.", "model."),
    ignored=("visual.", "model.visual.", "lm_head."),
)
T5: Final = TextLayout(
    architecture="T5EncoderModel",
    whole="T5ForConditionalGeneration",
    model_type="t5",
    anchor="encoder.final_layer_norm.weight",
    prefixes=("",),
    ignored=("decoder.", "lm_head."),
)
