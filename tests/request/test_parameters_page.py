"""The page of all parameters, which is written from the declarations."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BeforeValidator, Field

from stages.pipeline.contracts import FRAMES
from stages.pipeline.rules import Drafted, Neutral, OnlyWith, Table
from stages.pipeline.stage import HOST, Program, Stage
from stages.pipeline.stages import STAGES, Pipeline
from stages.request.parameters_page import describe_parameters, meanings_of
from stages.request.params import tables_of_video
from stages.request.tables import MachineParams
from tests.project import PROJECT, environment

WRITE = [sys.executable, "-m", "stages.request.parameters_page"]


class OwnParams(Table):
    """Of a project's own stage.

    Attributes:
        gain: is added to colours, or
            taken | away; docs/own-stages.md has more.
        rate: per second.
    """

    gain: Annotated[float, Field(ge=0, le=2.5), Drafted(lambda value: value / 2), Neutral(0.5)] = 0.5
    is_gentle: bool = False
    bias: Annotated[int, Field(ge=-1, le=2**31 - 1), OnlyWith("is_gentle")] = 0
    limit: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    kind: Literal["a", "b"] = "a"
    rate: Annotated[int | str, BeforeValidator(str, json_schema_input_type=float | str)] = "1"
    name: str


OWN = Pipeline(
    (*STAGES[:-1], Stage("own", "frames -> frames", OwnParams, (FRAMES,), FRAMES, Program("own", HOST)), STAGES[-1])
)


def test_the_page_of_this_repository_is_up_to_date():
    page = (PROJECT / "docs/parameters.md").read_text(encoding="utf-8")
    assert page == describe_parameters(Pipeline()), (
        "run `python -m stages.request.parameters_page > docs/parameters.md`"
    )


def test_every_parameter_has_its_meaning_and_no_other_has():
    tables = {**tables_of_video(Pipeline()), "machine": MachineParams}
    for name, table in tables.items():
        parameters = [field for field in table.model_fields if "." not in field]
        assert [*meanings_of(table)] == parameters, name


def test_a_row_says_what_the_declaration_does():
    page = describe_parameters(OWN)
    assert page.partition("\n## own\n")[2].partition("\n## ")[0] == (
        "\n"
        "Frames -> frames. A change of one makes own, export again.\n"
        "\n"
        "| parameter | default | values | |\n"
        "|---|---|---|---|\n"
        "| `gain` | `0.5` | number, 0 to 2.5 | Is added to colours, or taken \\| away; [own-stages.md](own-stages.md) "
        "has more. A draft of the default has 0.25. |\n"
        "| `is_gentle` | `false` | `true` or `false` |  |\n"
        "| `bias` | `0` | whole number, -1 to 2^31 - 1 | Has an effect only with `is_gentle`. |\n"
        "| `limit` | unset | whole number, 1 to 1,000,000 |  |\n"
        '| `kind` | `"a"` | `"a"`, `"b"` |  |\n'
        '| `rate` | `"1"` | number or text | Per second. |\n'
        "| `name` | none: each video has its own | text |  |\n"
    )


def test_components_have_one_row_that_names_them_all():
    (row,) = [line for line in describe_parameters(Pipeline()).splitlines() if line.startswith("| `components")]
    assert row.startswith('| `components.<name>` | `""` | text | ')
    assert row.endswith(
        " The names: text_encoder, tokenizer, text_encoder_2, tokenizer_2, transformer, scheduler, guider, vae. |"
    )


@pytest.mark.processes
def test_the_page_of_the_project_in_the_current_folder_is_printed(tmp_path: Path):
    done = subprocess.run(WRITE, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, describe_parameters(Pipeline()), "")


@pytest.mark.processes
def test_stages_that_cannot_be_read_are_one_message(tmp_path: Path):
    (tmp_path / "pyproject.toml").write_text("[tool.hunyuan-stages]\nstages = 1\n")
    done = subprocess.run(WRITE, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "ParamsError: pyproject.toml, tool.hunyuan-stages.stages: must be a list of names of modules.\n"
    )
