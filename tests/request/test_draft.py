"""What drafts of videos are. Messages are compared whole."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.errors import ParamsError
from stages.pipeline.denoise import DenoiseParams
from stages.pipeline.encode import EncodeParams
from stages.pipeline.export import ExportParams
from stages.pipeline.stages import Pipeline
from stages.request.draft import draft_by_itself, read_draft
from stages.request.layers import Faults, Value
from stages.request.params import load_params
from tests.project import DEMO, copy_params
from tests.request.sweeps import write_sweep

KNOWN = {"model": ["components.vae"], "denoise": ["height", "seed"]}


def of(root: Path, stage: str, video: str = "demo", *, is_draft: bool = True, **overrides: str) -> dict[str, Any]:
    """Parameters of a stage of a draft."""
    dotted = {name.replace("__", "."): text for name, text in overrides.items()}
    return dict(load_params(root, dotted, Pipeline(), is_draft=is_draft).videos[video].of_stage(stage))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return copy_params(tmp_path)


def test_a_draft_has_half_the_size_and_a_third_of_the_steps_and_all_else_of_the_video(root: Path):
    final, draft = of(root, "denoise", is_draft=False), of(root, "denoise")
    assert {name: draft[name] for name in draft if draft[name] != final[name]} == {
        "height": 48,
        "width": 48,
        "num_inference_steps": 7,
    }
    assert all(of(root, stage) == of(root, stage, is_draft=False) for stage in ("encode", "decode", "export"))


@given(
    height=st.integers(1, 1024).map(lambda side: 16 * side),
    width=st.integers(1, 1024).map(lambda side: 16 * side),
    steps=st.integers(1, 10_000),
    crop=st.tuples(st.integers(8, 8192), st.integers(8, 8192)),
)
def test_what_a_draft_has_by_itself_is_valid_and_no_larger(height: int, width: int, steps: int, crop: tuple[int, int]):
    crop_width, crop_height = min(2 * crop[0], width), min(2 * crop[1], height)
    final = {
        "denoise": DenoiseParams(height=height, width=width, num_inference_steps=steps),
        "export": ExportParams(crop=f"{crop_width}x{crop_height}"),
    }
    by_itself = draft_by_itself(final, "v.toml")
    values = {name: value.value for name, value in by_itself["denoise"].items()}
    draft = DenoiseParams(**values)
    cut = [*map(int, ExportParams(crop=by_itself["export"]["crop"].value).crop.split("x"))]
    assert height / 2 <= draft.height <= height
    assert width / 2 <= draft.width <= width
    assert steps / 3 <= draft.num_inference_steps <= steps
    assert cut[0] <= min(draft.width, crop_width)
    assert cut[1] <= min(draft.height, crop_height)


def test_a_crop_is_halved_with_the_frames(root: Path):
    (root / "params/videos/demo.toml").write_text(
        '[encode]\nprompt = "x"\n[denoise]\nheight = 1088\nwidth = 1920\n[export]\ncrop = "1920x1080"\n'
    )
    assert (of(root, "denoise")["height"], of(root, "denoise")["width"]) == (544, 960)
    assert of(root, "export")["crop"] == "960x540"


def test_where_latents_come_from_a_file_the_draft_is_the_video(root: Path):
    (root / "x").touch()
    (root / "params/videos/demo.toml").write_text('[denoise]\nfrom_file = "x"\n[export]\ncrop = "64x64"\n')
    assert of(root, "export") == of(root, "export", is_draft=False)


def test_where_embeddings_come_from_a_file_the_rest_is_drafted():
    stages = {"encode": EncodeParams.model_construct(from_file="/x"), "denoise": DenoiseParams()}
    assert draft_by_itself(stages, "v.toml")["denoise"]["height"] == Value(368, "v.toml, [draft]")


def test_the_videos_file_goes_before_the_file_of_all_and_that_before_what_a_draft_has_by_itself(root: Path):
    (root / "params/draft.toml").write_text("[denoise]\nheight = 32\nseed = 5\nnum_frames = 5\n")
    (root / "params/videos/demo.toml").write_text(f"{DEMO}\n[draft]\ndenoise.seed = 6\n'export.fps' = 4\n")
    draft = of(root, "denoise")
    assert [draft[name] for name in ("height", "width", "seed", "num_frames")] == [32, 48, 6, 5]
    assert of(root, "export")["fps"] == 4


def test_what_is_typed_counts_as_it_is(root: Path):
    (root / "params/draft.toml").write_text("denoise.height = 32\n")
    draft = of(root, "denoise", denoise__height="64", denoise__width="80", denoise__num_inference_steps="9")
    assert [draft[name] for name in ("height", "width", "num_inference_steps")] == [64, 80, 9]


def test_videos_themselves_are_what_they_are_without_drafts(root: Path):
    before = of(root, "denoise", is_draft=False)
    (root / "params/draft.toml").write_text("denoise.height = 32\n")
    (root / "params/videos/demo.toml").write_text(f"{DEMO}\n[draft]\ndenoise.seed = 6\n")
    assert of(root, "denoise", is_draft=False) == before


def test_each_video_of_a_sweep_has_its_draft(root: Path):
    write_sweep(root, "denoise.num_inference_steps = [10, 20, 30]\n")
    steps = [of(root, "denoise", f"harbour-{number}")["num_inference_steps"] for number in (1, 2, 3)]
    assert steps == [4, 7, 10]


def test_a_component_of_the_model_can_be_another_one():
    faults = Faults(Path())
    text = {"model": {"components": {"vae": "~/x"}}}
    assert read_draft(text, "d", KNOWN, faults) == {"model": {"components.vae": Value("~/x", "d")}}
    assert faults.lines == []


@pytest.mark.parametrize("is_draft", [False, True])
@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "[draft]\ndenoise.heigth = 32\n",
            ", [draft], denoise.heigth: no such parameter. Did you mean `denoise.height`?",
        ),
        ("[draft]\nheight = 32\n", ", [draft], height: no such parameter. Did you mean `denoise.height`?"),
        ("[draft]\nmachine.mesh = 'auto'\n", ", [draft], machine.mesh: no such parameter."),
        (
            "[draft]\ndenoise.height = 100\n",
            ", [draft], denoise.height = 100: must be a multiple of 16, the VAE's spatial compression. Use 96 or 112. "
            'For a video of 100, denoise 112 and set export.crop = "<width>x100".',
        ),
        ("[draft]\ndenoise = 1\n", ", [draft], denoise: no such parameter. Did you mean `denoise.seed`?"),
        ("[draft]\ndenoise.seed = { a = 1 }\n", ", [draft], denoise.seed = {'a': 1}: must be a whole number."),
    ],
)
def test_what_is_wrong_in_a_videos_table_stops_that_video(root: Path, text: str, fault: str, is_draft: bool):
    (root / "params/videos/other.toml").write_text(f"{DEMO}\n{text}")
    params = load_params(root, {}, Pipeline(), is_draft=is_draft)
    assert {name: str(error) for name, error in params.faults.items()} == {"other": f"params/videos/other.toml{fault}"}


def test_a_draft_that_is_no_table_is_reported(root: Path):
    (root / "params/videos/other.toml").write_text(f"draft = 3\n{DEMO}")
    assert {name: str(error) for name, error in load_params(root, {}, Pipeline()).faults.items()} == {
        "other": "params/videos/other.toml, [draft] = 3: must be a table, [draft]."
    }


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "denoise.heigth = 32\n",
            "params/draft.toml, denoise.heigth: no such parameter. Did you mean `denoise.height`?",
        ),
        (
            "[denoise]\nheight = 8\n",
            "params/draft.toml, denoise.height = 8: must be greater than or equal to 16.",
        ),
        ("x", "params/draft.toml: not valid TOML: Expected '=' after a key in a key/value pair (at end of document)."),
    ],
)
def test_what_is_wrong_in_the_file_of_all_stops_all(root: Path, text: str, fault: str):
    (root / "params/draft.toml").write_text(text)
    with pytest.raises(ParamsError) as error:
        load_params(root, {}, Pipeline())
    assert str(error.value) == fault


def test_a_draft_that_is_wrong_only_beside_the_videos_values_names_the_video(root: Path):
    (root / "params/draft.toml").write_text('export.crop = "64x64"\n')
    assert {name: str(error) for name, error in load_params(root, {}, Pipeline(), is_draft=True).faults.items()} == {
        "demo": 'demo: params/draft.toml, export.crop = "64x64": must be no larger than the frames, which are 48x48. '
        "Set denoise.width = 64 and denoise.height = 64, or a smaller crop."
    }
