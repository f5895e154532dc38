"""The text components of a checkpoint, tokenizers and models: read from their folders and checked, by torch.

Owns what this stage requires of each. What they are run on is in chat.py and text_encoders.py.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from stages.errors import CheckpointError
from stages.models.settings import TEXT, Rule, count, find_faults, only, read_settings, refuse_faulty
from stages.tensors.weight_files import WeightFiles

Model = TypeVar("Model", bound=PreTrainedModel)
Tokenizer = TypeVar("Tokenizer", bound=PreTrainedTokenizerBase)

COPY_AGAIN = "Download or copy the checkpoint again, or name another one in params/model.toml."
_MAX_VOCABULARY = 2**20  # far above any text encoder's
# The system message is cropped at the front and long prompts are truncated at the end: both need text on the left.
_TOKENIZER_RULES: Final[Mapping[str, Rule]] = {
    "padding_side": only("right"),
    "truncation_side": only("right"),
    "pad_token": TEXT,
}


def load_tokenizer(kind: type[Tokenizer], folder: Path) -> Tokenizer:
    """A tokenizer from its folder. Nothing is downloaded.

    Raises:
        CheckpointError: the folder holds no tokenizer, for which transformers would make up an empty one, or one that
            cannot be read, or one that pads or truncates on the left.
    """
    file = folder / "tokenizer_config.json"
    if not file.is_file():
        raise CheckpointError(f"{folder}: holds no tokenizer_config.json. {COPY_AGAIN}")
    try:
        tokenizer = kind.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # as in load_model
        raise CheckpointError(f"{folder}: the tokenizer cannot be read ({one_line(error)}). {COPY_AGAIN}") from error
    found = {name: getattr(tokenizer, name) for name in _TOKENIZER_RULES}
    refuse_faulty(find_faults(found, _TOKENIZER_RULES), where=file)
    return cast("Tokenizer", tokenizer)


def check_config(
    kind: type[PreTrainedModel], folder: Path, tokenizer: PreTrainedTokenizerBase, rules: Mapping[str, Rule]
) -> None:
    """Check a model's settings before its weights are read.

    Args:
        kind: class of the model.
        folder: of the component.
        tokenizer: the model's; its vocabulary is the smallest that the model may have.
        rules: those that only this kind has, by setting.
    Raises:
        CheckpointError: lists all settings that break a rule.
    """
    num_tokens = max(tokenizer.get_vocab().values()) + 1
    name = kind.__name__
    common = {
        "architectures": Rule(f"['{name}']", lambda found: found == [name]),
        "vocab_size": count(num_tokens, _MAX_VOCABULARY),
    }
    settings = read_settings(folder / "config.json")
    refuse_faulty(find_faults(settings.values, {**common, **rules}), where=settings.where)


def load_model(kind: type[Model], folder: Path, *, dtype: torch.dtype) -> Model:
    """A model from its folder, for evaluation, on the CPU. Nothing is downloaded.

    Raises:
        CheckpointError: the weights cannot be read, or tensors are missing, which transformers would draw at random,
            spare or misshapen; lists all of them.
    """
    WeightFiles(folder)  # headers only: damaged shards and quantised tensors give the errors of the other components
    try:
        # A pair comes back, which the annotations of transformers do not know; misshapen tensors are in the
        # report, and raised below.
        loaded: Any = kind.from_pretrained(
            folder,
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except Exception as error:  # whatever its readers raise, it means one thing: the folder cannot be read
        raise CheckpointError(f"{folder}: the weights cannot be read ({one_line(error)}). {COPY_AGAIN}") from error
    model, report = cast("tuple[Model, dict[str, Any]]", loaded)
    _refuse_misfits(report, folder)
    return cast("Model", model.train(False))


def one_line(error: Exception) -> str:
    """The text of an error of any kind, on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _refuse_misfits(report: Mapping[str, Any], folder: Path) -> None:
    """Raise CheckpointError when transformers reports tensors that do not fit the model."""
    kinds = {
        "missing": sorted(report["missing_keys"]),
        "spare": sorted(report["unexpected_keys"]),
        "misshapen": [
            f"{name} is {list(found)}, not {list(wanted)}" for name, found, wanted in sorted(report["mismatched_keys"])
        ],
    }
    lines = [f"{len(names)} {fault}: {', '.join(names)}" for fault, names in kinds.items() if names]
    if lines:
        raise CheckpointError("\n  ".join([f"{folder}: the weights do not fit its config.json:", *lines, COPY_AGAIN]))
