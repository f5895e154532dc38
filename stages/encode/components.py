"""The text components of a checkpoint, tokenizers and models: read from the picked files and checked, by torch.

Owns what this stage requires of each, and that nothing but the picked files is read. What they are run on is in chat.py
and text_encoders.py.
"""

import codecs
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar, cast

import torch
from safetensors import safe_open
from torch.overrides import TorchFunctionMode
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from stages.errors import CheckpointError
from stages.machine.json_files import decode_json
from stages.machine.regular_files import read_regular
from stages.models.component_files import ComponentFiles
from stages.models.settings import TEXT, Rule, count, find_faults, only, read_settings, refuse_faulty
from stages.models.text_layouts import TextLayout
from stages.models.weights import open_weights
from stages.tensors.weight_files import WeightFiles

Model = TypeVar("Model", bound=PreTrainedModel)
Tokenizer = TypeVar("Tokenizer", bound=PreTrainedTokenizerBase)

COPY_AGAIN = "Download or copy the checkpoint again, or name another one in params/model.toml."
_META = torch.device("meta")
_MAX_VOCABULARY = 2**20  # far above any text encoder's
# The system message is cropped at the front and long prompts are truncated at the end: both need text on the left.
_TOKENIZER_RULES: Final[Mapping[str, Rule]] = {
    "padding_side": only("right"),
    "truncation_side": only("right"),
    "pad_token": TEXT,
}


@dataclass(frozen=True)
class TextConfig:
    """A text model's own settings, checked; and whether its files are those of the model of which it is a part."""

    values: Mapping[str, Any]
    is_whole: bool


def load_tokenizer(kind: type[Tokenizer], files: ComponentFiles) -> Tokenizer:
    """A tokenizer from its files, and no others. Nothing is downloaded.

    Raises:
        CheckpointError: the tokenizer cannot be read, or pads or truncates on the left.
    """
    folder = files.folder
    try:
        with _only_picked(files) as picked:
            tokenizer = kind.from_pretrained(picked, local_files_only=True)
    except Exception as error:  # as in load_model
        raise CheckpointError(f"{folder}: the tokenizer cannot be read ({one_line(error)}). {COPY_AGAIN}") from error
    tokenizer.name_or_path = str(folder)
    found = {name: getattr(tokenizer, name) for name in _TOKENIZER_RULES}
    refuse_faulty(find_faults(found, _TOKENIZER_RULES), where=files.settings)
    return cast("Tokenizer", tokenizer)


def read_config(
    layout: TextLayout, files: ComponentFiles, tokenizer: PreTrainedTokenizerBase, rules: Mapping[str, Rule]
) -> TextConfig:
    """A model's settings, checked before its weights are read.

    Args:
        layout: of the model.
        files: of the component.
        tokenizer: the model's; its vocabulary is the smallest that the model may have.
        rules: those that only this kind has, by setting.
    Raises:
        CheckpointError: lists all settings that break a rule.
    """
    num_tokens = max(tokenizer.get_vocab().values()) + 1
    common = {**layout.rules, "vocab_size": count(num_tokens, _MAX_VOCABULARY)}
    settings = read_settings(files.settings)
    values = layout.select_settings(settings.values)
    found = {name: settings.values[name] for name in ["architectures"] if name in settings.values}
    refuse_faulty(find_faults({**values, **found}, {**common, **rules}), where=settings.where)
    return TextConfig(values, layout.is_whole(settings.values))


def load_model(
    kind: type[Model], layout: TextLayout, files: ComponentFiles, config: TextConfig, *, dtype: torch.dtype
) -> Model:
    """A model from its files, for evaluation, on the CPU. Nothing is downloaded, and no other part of a model is read.

    Raises:
        CheckpointError: the weights cannot be read, or tensors are missing, which transformers would draw at random,
            spare or misshapen; lists all of them.
    """
    assert kind.config_class is not None  # of models that transformers has
    weights = open_weights(files)
    names = layout.select_names(weights.shapes, is_whole=config.is_whole, where=str(files.folder))
    try:
        # A pair comes back, which the annotations of transformers do not know; misshapen tensors are in the
        # report, and raised below. Without a folder, transformers has none in which it could choose other files.
        with _NothingDrawnOnMeta():
            loaded: Any = kind.from_pretrained(
                None,
                config=kind.config_class.from_dict(dict(config.values)),
                state_dict=_map_tensors(weights, names),
                dtype=dtype,
                local_files_only=True,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except Exception as error:  # whatever its readers raise, it means one thing: the folder cannot be read
        raise CheckpointError(
            f"{files.folder}: the weights cannot be read ({one_line(error)}). {COPY_AGAIN}"
        ) from error
    model, report = cast("tuple[Model, dict[str, Any]]", loaded)
    _refuse_misfits(report, files.folder)
    return cast("Model", model.train(False))


class _NothingDrawnOnMeta(TorchFunctionMode):
    """Leaves weights as they are allocated on the meta device, where transformers builds a model before it loads it.

    There are no values to draw, and drawing them would first import torch's compiler, and a range there SymPy, for
    a second or two. transformers computes all buffers anew when the weights are loaded.
    """

    def __torch_function__(self, function: Any, _types: Any, arguments: Any = (), options: Any = None) -> Any:
        options = options or {}
        if getattr(function, "__module__", "") == torch.nn.init.__name__:
            tensor: torch.Tensor = arguments[0] if arguments else options["tensor"]
            if tensor.is_meta:
                return tensor
        if function is torch.arange and options.get("device") == _META:
            options = {**options, "device": "cpu"}
        return function(*arguments, **options)


def one_line(error: Exception) -> str:
    """The text of an error of any kind, on one line."""
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def _only_picked(files: ComponentFiles) -> Iterator[Path]:
    """A folder that holds the picked files and nothing else, without byte order marks, which transformers refuses."""
    with TemporaryDirectory() as folder:
        for name in files.picked.names:
            content = read_regular(files.folder / name)
            is_json = name.endswith(".json")
            plain = decode_json(content).encode() if is_json else content.removeprefix(codecs.BOM_UTF8)
            (Path(folder) / name).write_bytes(plain)
        yield Path(folder)


def _map_tensors(weights: WeightFiles, names: Mapping[str, str]) -> dict[str, torch.Tensor]:
    """Tensors by the model's names, in the mapped memory of their files: of each, only what is used is ever read."""
    with ExitStack() as stack:
        opened = {
            path: stack.enter_context(safe_open(path, framework="pt")) for path in sorted(set(weights.paths.values()))
        }
        return {own: opened[weights.paths[name]].get_tensor(name) for own, name in names.items()}


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
