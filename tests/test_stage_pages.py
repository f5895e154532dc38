"""Each stage has a page, whose lists are those of its declaration."""

import re

import pytest

from stages.pipeline.stages import read_pipeline
from tests.pages import reader_pages
from tests.project import PROJECT

PIPELINE = read_pipeline(PROJECT)
NAME = re.compile(r"`([a-z_0-9]+)`")


def listed(stage: str, head: str) -> list[str]:
    """Names in the item of the list that begins with these words in bold."""
    item = reader_pages()[f"docs/stages/{stage}.md"].partition(f"- **{head}:**")[2]
    return NAME.findall(re.split(r"\n- |\n\n", item)[0])


def test_every_stage_has_a_page_and_no_other_page_is_there():
    pages = {page.name for page in (PROJECT / "docs/stages").glob("*.md")}
    assert pages == {"README.md", *(f"{stage}.md" for stage in PIPELINE.names)}


@pytest.mark.parametrize("stage", PIPELINE.names)
def test_a_page_names_all_parameters_of_its_stage(stage: str):
    assert listed(stage, "Parameters") == list(PIPELINE[stage].parameters.model_fields)


@pytest.mark.parametrize("stage", PIPELINE.names)
def test_a_page_names_the_components_that_its_stage_reads(stage: str):
    assert listed(stage, "Reads of the checkpoint") == [each.name for each in PIPELINE[stage].components]
