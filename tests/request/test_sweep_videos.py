"""The videos of sweeps: their names, which stay, their values and their faults. Messages are compared whole."""

import itertools
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.errors import ParamsError
from stages.pipeline.denoise import DenoiseParams
from stages.pipeline.toml_writer import write_toml
from stages.request.params import Params
from stages.store.sweep_numbers import SWEEPS
from tests.project import DEMO, copy_params
from tests.request.sweeps import load, remember, write_sweep, write_sweep_table


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return copy_params(tmp_path)


def seeds(params: Params) -> dict[str, int]:
    """Those of the videos of the sweep `harbour`."""
    return {name: params.videos[name].table(DenoiseParams).seed for name in params.sweeps["harbour"]}


def what_differs(params: Params) -> Mapping[str, Mapping[str, Any]]:
    return params.sweeps["harbour"]


def test_a_sweep_is_a_video_for_each_combination_and_none_by_its_own_name(root: Path):
    write_sweep(root, "denoise.seed = [5, 7]\n")
    params = load(root)
    assert [*params.videos] == ["demo", "harbour-1", "harbour-2"]
    assert seeds(params) == {"harbour-1": 5, "harbour-2": 7}
    assert params.sweeps == {"harbour": {"harbour-1": {"denoise.seed": 5}, "harbour-2": {"denoise.seed": 7}}}


def test_what_does_not_differ_is_that_of_the_file_and_one_object(root: Path):
    write_sweep(root, "denoise.seed = [5, 7]\n")
    one, two = (load(root).videos[name] for name in ("harbour-1", "harbour-2"))
    assert one.table(DenoiseParams).num_inference_steps == 20
    assert all(one.stages[name] == two.stages[name] for name in ("encode", "decode", "export"))


def test_swept_parameters_go_before_those_of_the_tables(root: Path):
    write_sweep(root, 'encode.prompt = ["a"]\n')
    assert load(root).videos["harbour-1"].of_stage("encode")["prompt"] == "a"


def test_a_prompt_may_be_in_the_sweep_alone(root: Path):
    write_sweep(root, 'encode.prompt = ["a", "b"]\n', text="[denoise]\nheight = 32\n")
    assert load(root).faults == {}


def test_the_checkpoint_can_differ(root: Path):
    write_sweep(root, 'model.checkpoint = ["builtin:shapes", "~/other"]\nmodel.components.vae = ["~/vae"]\n')
    models = [load(root).videos[name].model for name in ("harbour-1", "harbour-2")]
    assert [model.checkpoint for model in models] == ["builtin:shapes", "~/other"]
    assert [dict(model.elsewhere) for model in models] == [{"vae": "~/vae"}] * 2


def test_what_is_skipped_leaves_a_gap(root: Path):
    write_sweep(root, "denoise.seed = [5, 7, 9]\nskip = [{ denoise.seed = 7 }]\n")
    assert seeds(load(root)) == {"harbour-1": 5, "harbour-3": 9}


@pytest.mark.parametrize("values", ["[5, 6, 7]", "[4, 5, 7]", "[7, 6, 5, 8]"])
def test_a_name_stays_wherever_a_value_is_added(root: Path, values: str):
    write_sweep(root, "denoise.seed = [5, 7]\n")
    before = load(root)
    remember(root, before)
    write_sweep(root, f"denoise.seed = {values}\n")
    assert {**seeds(load(root)), **seeds(before)} == seeds(load(root))


def test_a_value_that_was_taken_out_and_comes_back_has_its_name_again(root: Path):
    write_sweep(root, "denoise.seed = [5, 6, 7]\n")
    remember(root, load(root))
    write_sweep(root, "denoise.seed = [5, 7, 8]\n")
    assert seeds(load(root)) == {"harbour-1": 5, "harbour-3": 7, "harbour-4": 8}
    remember(root, load(root))
    write_sweep(root, "denoise.seed = [6, 7, 8]\n")
    assert seeds(load(root)) == {"harbour-2": 6, "harbour-3": 7, "harbour-4": 8}


def test_a_sweep_of_other_parameters_is_counted_from_1(root: Path):
    write_sweep(root, "denoise.seed = [5, 6, 7]\n")
    remember(root, load(root))
    write_sweep(root, "export.fps = [8]\n")
    assert [*what_differs(load(root))] == ["harbour-1"]


@pytest.mark.parametrize("change", ["denoise.guidance_scale = [6.0]\n", "denoise.guidance_scale = [6]\n"])
def test_a_number_that_is_written_otherwise_is_the_same(root: Path, change: str):
    write_sweep(root, "denoise.guidance_scale = [3, 6]\n")
    remember(root, load(root))
    write_sweep(root, change)
    assert [*what_differs(load(root))] == ["harbour-2"]


def test_the_order_of_lines_changes_no_name(root: Path):
    lines = ["denoise.seed = [1, 2]\n", "export.fps = [8, 24]\n"]
    write_sweep(root, "".join(lines))
    before = load(root)
    remember(root, before)
    write_sweep(root, "".join(reversed(lines)))
    assert what_differs(load(root)) == what_differs(before)


def test_what_is_remembered_is_remembered_no_second_time(root: Path):
    write_sweep(root, "denoise.seed = [5, 7]\n")
    remember(root, load(root))
    assert load(root).new_numbers == {}


def test_without_what_the_store_remembers_names_follow_from_the_file_alone(root: Path):
    write_sweep(root, "denoise.seed = [5, 7]\nexport.fps = [8, 24]\n")
    assert what_differs(load(root)) == what_differs(load(root))
    assert [*what_differs(load(root))] == [f"harbour-{number}" for number in (1, 2, 3, 4)]


AXES = {"denoise.seed": st.integers(0, 6), "export.fps": st.integers(1, 7), "encode.prompt": st.sampled_from("abcdef")}


@st.composite
def tables(draw: Callable[..., Any]) -> dict[str, Any]:
    """A sweep over the three parameters, which may skip some and zip two."""
    sweep = {name: draw(st.lists(values, min_size=1, max_size=3, unique=True)) for name, values in AXES.items()}
    if draw(st.booleans()):
        number = min(len(sweep["denoise.seed"]), len(sweep["export.fps"]))
        sweep |= {name: sweep[name][:number] for name in ("denoise.seed", "export.fps")}
        sweep["zip"] = [["denoise.seed", "export.fps"]]
    if draw(st.booleans()):
        sweep["skip"] = [{"denoise.seed": sweep["denoise.seed"][0], "encode.prompt": sweep["encode.prompt"][0]}]
    return sweep


@settings(deadline=None, max_examples=25)
@given(history=st.lists(tables(), min_size=2, max_size=4))
def test_a_name_never_means_two_combinations_whatever_becomes_of_the_sweep(history: list[dict[str, Any]]):
    meanings: dict[str, Mapping[str, Any]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "params/videos").mkdir(parents=True)
        for sweep in history:
            write_sweep_table(folder, sweep)
            params = load(folder)
            remember(folder, params)
            for video, values in params.sweeps.get("harbour", {}).items():
                assert meanings.setdefault(video, values) == values
        names = {tuple(sorted(values.items())) for values in meanings.values()}
        assert len(names) == len(meanings)  # nor does a combination ever get a second name


@settings(deadline=None, max_examples=25)
@given(sweep=tables())
def test_the_videos_of_a_sweep_have_its_combinations(sweep: dict[str, Any]):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "params/videos").mkdir(parents=True)
        write_sweep_table(folder, sweep)
        params = load(folder)
    columns = [sweep[each] for each in AXES]
    wanted = {*itertools.product(*columns)}
    if "zip" in sweep:
        pairs = [*zip(sweep["denoise.seed"], sweep["export.fps"], strict=True)]
        wanted = {each for each in wanted if each[:2] in pairs}
    for skipped in sweep.get("skip", ()):
        wanted -= {each for each in wanted if each[0::2] == (skipped["denoise.seed"], skipped["encode.prompt"])}
    found = {
        (video.of_stage("denoise")["seed"], video.of_stage("export")["fps"], video.of_stage("encode")["prompt"])
        for video in params.videos.values()
    }
    assert found == wanted


# In a process of its own: here, annotations are checked on every call, and there are objects of other tests.
_TIMED = """
import sys, time
from pathlib import Path
from stages.pipeline.stages import Pipeline
from stages.request.params import load_params
for root in sys.argv[1:]:
    start = time.process_time()
    assert len(load_params(Path(root), {}, Pipeline()).videos) in (1, 1000)
    print(time.process_time() - start)
"""


@pytest.mark.processes
def test_a_sweep_is_read_in_less_time_than_as_many_files(tmp_path: Path):
    first, files, sweep = (tmp_path / name for name in ("first", "files", "sweep"))
    for folder in (first, files, sweep):
        (folder / "params/videos").mkdir(parents=True)
    (first / "params/videos/demo.toml").write_text(DEMO)  # what is done once has been done then
    for number in range(1000):
        (files / f"params/videos/v{number}.toml").write_text(DEMO.replace("[denoise]", f"[denoise]\nseed = {number}"))
    write_sweep(sweep, 'denoise.seed = "0..999"\n')
    remember(sweep, load(sweep))
    command = [sys.executable, "-c", _TIMED, *map(str, (first, files, sweep))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    _, files_s, sweep_s = map(float, done.stdout.split())
    assert sweep_s < files_s  # a seventh, as measured


def test_the_command_line_overrides_all_videos_of_a_sweep(root: Path):
    write_sweep(root, "denoise.seed = [5, 7]\n")
    steps = [
        video.of_stage("denoise")["num_inference_steps"]
        for video in load(root, denoise__num_inference_steps="3").videos.values()
    ]
    assert steps == [3, 3, 3]


@pytest.mark.parametrize(("limit", "limited"), [("harbour", ["harbour-1", "harbour-2"]), ("harbour-2", ["harbour-2"])])
def test_overrides_can_be_limited_to_a_sweep_or_to_one_of_it(root: Path, limit: str, limited: list[str]):
    write_sweep(root, "denoise.seed = [5, 7]\n")
    videos = load(root, export__fps="30", video=limit).videos
    assert [name for name, video in videos.items() if video.of_stage("export")["fps"] == 30] == limited


def test_a_limit_that_is_no_video_of_a_sweep_is_reported(root: Path):
    write_sweep(root, "denoise.seed = [5, 7]\n")
    with pytest.raises(ParamsError) as error:
        load(root, video="harbour-3")
    assert str(error.value) == ("command line, video = harbour-3: no such video. Did you mean `harbour-2`?")


def faults(root: Path) -> dict[str, str]:
    return {name: str(error) for name, error in load(root).faults.items()}


def test_a_wrong_value_stops_its_combinations_alone_and_names_them(root: Path):
    write_sweep(root, "denoise.num_frames = [9, 50]\ndenoise.seed = [1, 2]\n")
    message = (
        "harbour-3, harbour-4: params/videos/harbour.toml, [sweep], denoise.num_frames = 50: must be 4k + 1, because "
        "the VAE keeps frame 0 alone and folds each 4 after it into one. Use 49 or 53."
    )
    assert faults(root) == {"harbour-3": message, "harbour-4": message}
    assert [*load(root).videos] == ["demo", "harbour-1", "harbour-2"]


def test_a_value_that_is_wrong_beside_another_one_names_that_combination(root: Path):
    write_sweep(root, 'export.codec = ["h264", "av1"]\nexport.crf = [20, 60]\n')
    assert faults(root) == {
        "harbour-2": "harbour-2: params/videos/harbour.toml, [sweep], export.crf = 60: must be 1 to 51 when "
        'export.codec is "h264".'
    }


def test_a_value_of_a_kind_that_no_parameter_has_is_reported(root: Path):
    write_sweep(root, "denoise.seed = [2026-11-30]\n")
    assert faults(root) == {
        "harbour-1": "harbour-1: params/videos/harbour.toml, [sweep], denoise.seed = 2026-11-30: must be a whole "
        "number."
    }


@pytest.mark.parametrize("value", ["nan", "inf", "1e308", "0x" + "f" * 5000, "07:32:00", "true", '"x"'])
def test_whatever_a_value_is_it_is_held_against_the_rule(root: Path, value: str):
    write_sweep(root, f"denoise.seed = [1, {value}]\n")
    params = load(root)
    assert [*params.videos] == ["demo", "harbour-1"]
    assert str(params.faults["harbour-2"]).startswith("harbour-2: params/videos/harbour.toml, [sweep], denoise.seed = ")


ANYTHING = st.recursive(
    st.none().map(lambda _: []) | st.booleans() | st.integers(-5, 5) | st.floats() | st.text("1.x", max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*AXES, "denoise", "seed"]), inner),
    max_leaves=8,
)


@settings(deadline=None, max_examples=100)
@given(
    sweep=ANYTHING | st.dictionaries(st.sampled_from([*AXES, "denoise", "zip", "skip"]), ANYTHING),
    draft=ANYTHING | st.dictionaries(st.sampled_from([*AXES, "denoise"]), ANYTHING),
    kept_from=ANYTHING,
)
def test_whatever_stands_in_a_file_is_a_video_a_sweep_or_a_fault_and_stops_no_other(
    sweep: Any, draft: Any, kept_from: Any
):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "params/videos").mkdir(parents=True)
        (folder / "params/videos/demo.toml").write_text(DEMO)
        content = {"sweep": sweep, "draft": draft, "kept_from": kept_from, "encode": {"prompt": "x"}}
        (folder / "params/videos/harbour.toml").write_text(write_toml(content), encoding="utf-8")
        params = load(folder)
    assert "demo" in params.videos
    assert len(params.videos) + len(params.faults) > 1


def test_a_fault_of_the_table_stops_all_of_the_file_and_no_other_video(root: Path):
    write_sweep(root, "denoise.sed = [1]\n", text="[denoise]\nheight = 32\n")
    message = "params/videos/harbour.toml, [sweep], denoise.sed: no such parameter. Did you mean `denoise.seed`?"
    assert faults(root) == {"harbour": message}
    assert [*load(root).videos] == ["demo"]


def test_a_fault_elsewhere_in_the_file_stops_all_of_it(root: Path):
    write_sweep(root, "denoise.seed = [1]\n", text=f"[colour]\n{DEMO}")
    assert faults(root) == {"harbour": "params/videos/harbour.toml, colour: no such table."}


def test_a_sweep_in_a_file_whose_name_cannot_be_a_videos_makes_none(root: Path):
    write_sweep(root, "denoise.seed = [1]\n", name="Harbour")
    assert [*faults(root)] == ["params/videos/Harbour.toml"]
    assert [*load(root).videos] == ["demo"]


def test_a_name_that_is_another_files_is_reported_with_both_and_the_other_stays(root: Path):
    write_sweep(root, "denoise.seed = [1, 2]\n")
    (root / "params/videos/harbour-2.toml").write_text(DEMO)
    assert faults(root) == {
        "harbour": "params/videos/harbour.toml, [sweep]: params/videos/harbour-2.toml has the name of a video of this "
        'sweep. Rename it, or write `kept_from = "harbour"` at the top of it: then the sweep leaves the name to it.'
    }
    assert [*load(root).videos] == ["demo", "harbour-2"]


def test_a_name_that_is_another_sweeps_is_reported(root: Path):
    write_sweep(root, "denoise.seed = [1, 2]\n")
    write_sweep(root, "denoise.seed = [1, 2]\n", name="harbour-1")
    assert [*faults(root)] == ["harbour"]


def test_a_sweep_leaves_its_name_to_a_file_that_was_kept_from_it(root: Path):
    write_sweep(root, "denoise.seed = [1, 2]\n")
    (root / "params/videos/harbour-2.toml").write_text(f'kept_from = "harbour"\n{DEMO}')
    params = load(root)
    assert params.faults == {}
    assert [*params.videos] == ["demo", "harbour-2", "harbour-1"]
    assert [*params.sweeps["harbour"]] == ["harbour-1"]


def test_a_kept_file_that_cannot_be_read_stops_no_other_video(root: Path):
    write_sweep(root, "denoise.seed = [1, 2]\n")
    (root / "params/videos/harbour-2.toml").write_text('kept_from = "harbour\n')
    assert [*faults(root)] == ["harbour-2"]
    assert [*load(root).videos] == ["demo", "harbour-1"]


def test_a_file_that_was_kept_from_another_sweep_is_another_video(root: Path):
    write_sweep(root, "denoise.seed = [1, 2]\n")
    (root / "params/videos/harbour-2.toml").write_text(f'kept_from = "other"\n{DEMO}')
    assert [*faults(root)] == ["harbour"]


def test_what_a_file_was_kept_from_is_a_name(root: Path):
    (root / "params/videos/demo.toml").write_text(f"kept_from = 1\n{DEMO}")
    assert faults(root) == {"demo": "params/videos/demo.toml, kept_from = 1: must be text, the name of a sweep."}


def test_numbers_that_cannot_be_read_are_an_error_that_names_the_file(root: Path):
    write_sweep(root, "denoise.seed = [1, 2]\n")
    (root / "artifacts").mkdir()
    (root / "artifacts" / SWEEPS).write_text("[]")
    with pytest.raises(Exception, match=f"{SWEEPS}: cannot be read"):
        load(root)


def test_numbers_are_those_of_the_store_in_use(root: Path, tmp_path: Path):
    write_sweep(root, "denoise.seed = [5, 7]\n")
    remember(root, load(root))
    write_sweep(root, "denoise.seed = [4, 5, 7]\n")
    assert seeds(load(root, machine__artifacts=str(tmp_path / "other"))) == {
        "harbour-1": 4,
        "harbour-2": 5,
        "harbour-3": 7,
    }
