"""The stage `encode`: a prompt becomes the embeddings of two text encoders."""

from typing import Final

from stages.pipeline.contracts import EMBEDDINGS
from stages.pipeline.from_file import FROM_FILE_PROGRAM
from stages.pipeline.rules import Dtype, FileFromElsewhere, Table, Text
from stages.pipeline.stage import HOST, Program, Stage


class EncodeParams(Table):
    """Every video has its own prompt, unless `from_file` holds the embeddings; the others then count for nothing."""

    prompt: Text
    negative_prompt: Text = ""
    dtype: Dtype = "bfloat16"
    from_file: FileFromElsewhere = ""


STAGE: Final = Stage(
    name="encode",
    summary="prompt -> embeddings",
    parameters=EncodeParams,
    reads=(),
    makes=EMBEDDINGS,
    components=("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2"),
    program=Program("stages.encode", HOST),
    file_program=FROM_FILE_PROGRAM,
)
