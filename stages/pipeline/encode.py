"""The stage `encode`: a prompt becomes the embeddings of two text encoders."""

from typing import Annotated, Final

from pydantic import AfterValidator

from stages.pipeline.component import Component
from stages.pipeline.contracts import EMBEDDINGS
from stages.pipeline.from_file import FROM_FILE_PROGRAM
from stages.pipeline.rules import Dtype, FileFromElsewhere, Table, Text
from stages.pipeline.stage import HOST, Program, Stage

# Read only where tokenizer_config.json does not name the added tokens itself.
_ADDED_TOKENS = ("added_tokens.json", "special_tokens_map.json")
TEXT_ENCODER: Final = Component("text_encoder", weights="model")
TOKENIZER: Final = Component(
    "tokenizer",
    settings="tokenizer_config.json",
    optional=("chat_template.jinja", *_ADDED_TOKENS),
    alternatives=(("tokenizer.json",), ("vocab.json", "merges.txt")),
)
TEXT_ENCODER_2: Final = Component("text_encoder_2", weights="model")
TOKENIZER_2: Final = Component("tokenizer_2", settings="tokenizer_config.json", optional=_ADDED_TOKENS)  # of bytes


def _not_blank(value: str) -> str:
    if value.isspace():
        raise ValueError('is only white space. Write a prompt, or "" for a video without one.')
    return value


class EncodeParams(Table):
    """Every video has its own prompt, unless `from_file` holds the embeddings; the others then count for nothing.

    Attributes:
        prompt: what the video shows; what stands in quotation marks is text in the picture.
        negative_prompt: what it is led away from. Has an effect only where denoise.guidance_scale is more than 1.
        dtype: of the text encoders and the embeddings.
        from_file: a safetensors file of embeddings, which takes the place of what this stage makes; "" for none.
    """

    prompt: Annotated[Text, AfterValidator(_not_blank)]
    negative_prompt: Text = ""
    dtype: Dtype = "bfloat16"
    from_file: FileFromElsewhere = ""


STAGE: Final = Stage(
    name="encode",
    summary="prompt -> embeddings",
    parameters=EncodeParams,
    reads=(),
    makes=EMBEDDINGS,
    components=(TEXT_ENCODER, TOKENIZER, TEXT_ENCODER_2, TOKENIZER_2),
    program=Program("stages.encode", HOST, has_weights_on_host=True),
    file_program=FROM_FILE_PROGRAM,
)
