"""The video file that makes something again."""

import errno
import json
import os
import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.errors import CheckpointError, ParamsError, StagesError, StoreError
from stages.keys import Digest
from stages.provenance.project import Project, open_project
from stages.provenance.record import Record, parse_line
from stages.provenance.remake import Remake, choose_name, plan_remake, write_video_file
from stages.run.loading import load_build
from tests.project import SHAPES
from tests.provenance.videos import build_empty_project, build_project, change_vae, code_of, line_of, load, nodes_of
from tests.request.sweeps import write_sweep


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose videos are remade; nothing in it is changed by a test."""
    return build_project(tmp_path_factory.mktemp("made") / "project")


@pytest.fixture
def empty(tmp_path: Path) -> Project:
    """The project in which they are remade: it has no parameters of its own."""
    return open_project(build_empty_project(tmp_path / "empty"), {})


def record_of(root: Path, **overrides: str) -> Record:
    return record_from(line_of(root, **overrides))


def record_from(line: str, project: Project | None = None) -> Record:
    record = Record("night.mp4", "a video", "its own metadata", parse_line(line))
    return record.in_order(project.pipeline) if project else record


def plan(record: Record, project: Project, *, anyway: bool = False, **overrides: str) -> Remake:
    dotted = {name.replace("__", "."): text for name, text in overrides.items()}
    ordered = record.in_order(project.pipeline)
    return plan_remake(ordered, "night", project, dotted, anyway=anyway, command="doit from night.mp4")


def refusal(record: Record, project: Project, **overrides: str) -> str:
    with pytest.raises(StagesError) as caught:
        plan(record, project, **overrides)
    return str(caught.value)


def keys(root: Path, video: str = "night") -> dict[str, str]:
    build = load_build(root, {}, is_read_only=True)
    assert not build.graph.faults
    return {stage: node.key for stage, node in build.graph.videos[video].items()}


def vae_of(root: Path, **overrides: str) -> str:
    return nodes_of(root, **overrides)["decode"].components["vae"]


def test_the_file_says_what_differs_from_the_defaults_and_makes_the_same_keys(made: Path, empty: Project):
    remake = plan(record_of(made), empty)
    assert remake.text == (
        "# Written by `doit from night.mp4`.\n\n"
        '[encode]\nprompt = "A red circle moves to the right."\ndtype = "float32"\n\n'
        "[denoise]\nnum_frames = 9\nheight = 96\nwidth = 96\nnum_inference_steps = 20\nguidance_scale = 3.0\n"
        'dtype = "float32"\n\n'
        '[decode]\ndtype = "float32"\n\n'
        "[export]\nfps = 8\n"
    )
    assert (remake.same, remake.others) == (["encode", "denoise", "decode", "export"], [])
    write_video_file(remake, empty)
    assert keys(empty.root) == {stage: node.key for stage, node in nodes_of(made).items()}


OVERRIDES = st.fixed_dictionaries(
    {
        "denoise_seed": st.integers(0, 2**63 - 1).map(str),
        "denoise_guidance_scale": st.floats(1, 1000).map(repr),
        "encode_prompt": st.text(min_size=1).filter(lambda text: not text.isspace()),
        "decode_enable_tiling": st.sampled_from(["true", "false"]),
        "export_fps": st.sampled_from(["24", "23.976", "30000/1001", "12.5"]),
        "export_codec": st.sampled_from(["h264", "hevc", "av1", "vp9"]),
    },
    optional={"denoise_flow_shift": st.sampled_from(["7", "7.0"]), "export_crop": st.just("64x48")},
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(overrides=OVERRIDES)
def test_any_values_come_back_as_the_same_keys(made: Path, empty: Project, overrides: dict[str, str]):
    remake = plan(record_of(made, **overrides), empty)
    (empty.root / "params/videos/night.toml").unlink(missing_ok=True)
    write_video_file(remake, empty)
    assert keys(empty.root) == {stage: node.key for stage, node in nodes_of(made, **overrides).items()}


def test_other_defaults_of_the_project_change_nothing(made: Path, tmp_path: Path):
    root = build_project(tmp_path / "other")
    (root / "params/videos/demo.toml").unlink()
    (root / "params/denoise.toml").write_text("seed = 7\nguidance_scale = 9\nnum_frames = 9\n")
    project = open_project(root, {})
    remake = plan(record_of(made), project)
    assert tomllib.loads(remake.text)["denoise"] == {
        "height": 96, "width": 96, "num_inference_steps": 20, "guidance_scale": 3.0, "seed": 42, "dtype": "float32",
    }  # fmt: skip
    write_video_file(remake, project)
    assert keys(root) == {stage: node.key for stage, node in nodes_of(made).items()}


def test_a_default_that_no_video_can_take_back_is_an_error(made: Path, empty: Project):
    (empty.root / "params/denoise.toml").write_text("flow_shift = 3.0\n")
    assert refusal(record_of(made), empty) == (
        "night.mp4: cannot be made again here:\n"
        "  denoise.flow_shift: the video was made without a value, and params/denoise.toml has one, which no video's "
        "file can take back. Take it out of there"
    )


def test_an_override_changes_the_keys_from_its_stage_on(made: Path, empty: Project):
    remake = plan(record_of(made), empty, denoise__seed="7")
    assert (remake.same, remake.others) == (["encode"], ["denoise", "decode", "export"])
    assert "seed = 7\n" in remake.text
    write_video_file(remake, empty)
    assert keys(empty.root) == {stage: node.key for stage, node in nodes_of(made, denoise_seed="7").items()}


def test_a_wrong_override_is_a_fault_of_the_command_line(made: Path, empty: Project):
    assert refusal(record_of(made), empty, denoise__sed="7", denoise__num_frames="50") == (
        "command line, denoise.sed = 7: no such parameter. Did you mean `denoise.seed`?\n"
        "  command line, denoise.num_frames = 50: must be 4k + 1, because the VAE keeps frame 0 alone and folds each 4 "
        "after it into one. Use 49 or 53."
    )


def test_another_vae_is_refused_by_name(made: Path, empty: Project):
    change_vae(empty.root / "changed")
    (empty.root / "params/model.toml").write_text('checkpoint = "changed"\n')
    before, now = vae_of(made), vae_of(made, model_checkpoint=str(empty.root / "changed"))
    assert before != now
    assert refusal(record_of(made), empty) == (
        "night.mp4: what made it differs from what is here:\n"
        f'  decode: vae: the video was made with {before}, model.checkpoint = "changed" is {now}\n'
        "  The weights that made it are here: add `model.checkpoint=builtin:shapes`. `--anyway` goes on with what is "
        "here."
    )


def test_the_weights_can_be_named(made: Path, empty: Project):
    change_vae(empty.root / "changed")
    (empty.root / "params/model.toml").write_text('checkpoint = "changed"\n')
    remake = plan(record_of(made), empty, model__checkpoint="builtin:shapes")
    assert remake.text.splitlines()[2:4] == ["[model]", 'checkpoint = "builtin:shapes"']
    assert remake.others == []


def test_one_component_can_be_named(made: Path, empty: Project):
    change_vae(empty.root / "changed")
    (empty.root / "params/model.toml").write_text('checkpoint = "changed"\n')
    shutil.copytree(SHAPES / "vae", empty.root / "my vae")
    remake = plan(record_of(made), empty, **{"model__components__vae": "my vae"})
    assert tomllib.loads(remake.text)["model"] == {"components": {"vae": "my vae"}}
    write_video_file(remake, empty)
    assert keys(empty.root) == {stage: node.key for stage, node in nodes_of(made).items()}


def test_a_copy_of_the_weights_under_another_path_is_the_same(made: Path, empty: Project):
    shutil.copytree(SHAPES, empty.root / "copied")
    (empty.root / "params/model.toml").write_text('checkpoint = "copied"\n')
    assert plan(record_of(made), empty).others == []


def test_a_checkpoint_that_is_not_there_is_an_error_with_what_would_do(made: Path, empty: Project):
    with pytest.raises(CheckpointError) as caught:
        plan(record_of(made), empty, model__checkpoint="gone")
    assert str(caught.value) == (
        "model.checkpoint = 'gone': no such folder, and not a hub id (owner/name). Correct the path on the command "
        "line.\n"
        "  The weights that made it are here: leave out `model.checkpoint=gone`."
    )


def test_other_code_is_refused_by_its_stage(made: Path, empty: Project):
    build, before = load(made), Digest("c" * 32)
    here = code_of(build, build.graph.videos["demo"]["denoise"])
    assert refusal(record_from(line_of(made, codes={"denoise": before})), empty) == (
        "night.mp4: what made it differs from what is here:\n"
        f"  denoise: code: the video was made with {before}, and the code here is {here}\n"
        "  `--anyway` goes on with what is here."
    )


def test_with_anyway_the_file_names_what_is_another(made: Path, empty: Project):
    change_vae(empty.root / "changed")
    (empty.root / "params/model.toml").write_text('checkpoint = "changed"\n')
    record = record_from(line_of(made, codes={"denoise": Digest("c" * 32)}))
    remake = plan(record, empty, anyway=True)
    assert [line.split(":")[:2] for line in remake.differences] == [["decode", " vae"], ["denoise", " code"]]
    assert remake.text.splitlines()[:4] == [
        "# Written by `doit from night.mp4`.",
        "# With --anyway, because not all is what made that video:",
        *(f"#   {line}" for line in remake.differences),
    ]
    assert (remake.same, remake.others) == (["encode", "denoise"], ["decode", "export"])


def test_what_was_made_before_videos_named_their_code_is_made_again(made: Path, empty: Project):
    fields = json.loads(line_of(made))
    for entry in fields["stages"].values():
        del entry["code"]
    assert plan(record_from(json.dumps(fields)), empty).others == []


def test_metadata_that_was_edited_is_refused(made: Path, empty: Project):
    line = line_of(made).replace('"seed":42', '"seed":43')
    assert "denoise: key: the video was made as " in refusal(record_from(line), empty)


def test_what_another_version_knows_is_refused_by_name(made: Path, empty: Project):
    line = line_of(made).replace('"seed":42', '"seed":42,"sampler":"dpm"')
    assert refusal(record_from(line), empty) == (
        'night.mp4: cannot be made again here:\n  denoise.sampler = "dpm": this version has no such parameter'
    )


def test_of_latents_the_stages_before_are_taken_and_the_defaults_make_the_rest(made: Path, empty: Project):
    whole = record_of(made)
    part = Record("a", "latents.safetensors", "the store", [m for m in whole.made if m.stage in ("encode", "denoise")])
    remake = plan(part, empty)
    assert (remake.same, remake.others) == (["encode", "denoise"], [])
    assert tomllib.loads(remake.text).keys() == {"encode", "denoise"}


@pytest.fixture
def latents(tmp_path: Path) -> Path:
    file = tmp_path / "latents.safetensors"
    file.write_bytes(b"any bytes: only the digest counts here")
    return file


def test_a_file_from_elsewhere_has_to_be_named(made: Path, empty: Project, latents: Path):
    record = record_of(made, denoise_from_file=str(latents))
    digest = record.in_order(empty.pipeline).made[0].parameters["from_file"]
    assert refusal(record, empty) == (
        "night.mp4: cannot be made again here:\n"
        f"  denoise.from_file: the video was made from a file whose XXH3-128 is {digest}, and does not say where that "
        "is. Name it: `denoise.from_file=FILE`"
    )


def test_with_the_file_named_it_is_made_again_and_needs_no_prompt(made: Path, empty: Project, latents: Path):
    record = record_of(made, denoise_from_file=str(latents))
    moved = shutil.move(latents, latents.with_name("moved"))
    remake = plan(record, empty, denoise__from_file=str(moved))
    assert (remake.others, tomllib.loads(remake.text).keys()) == ([], {"denoise", "decode", "export"})
    write_video_file(remake, empty)
    assert keys(empty.root) == {each.stage: each.key for each in record.made}


def test_another_file_from_elsewhere_is_refused(made: Path, empty: Project, latents: Path):
    record = record_of(made, denoise_from_file=str(latents))
    other = latents.with_name("other")
    other.write_bytes(b"other bytes")
    assert re.fullmatch(
        r"night\.mp4: what made it differs from what is here:\n"
        rf"  denoise: from_file: the video was made with \w{{32}}, and {re.escape(str(other))} is \w{{32}}\n"
        r"  `--anyway` goes on with what is here\.",
        refusal(record, empty, denoise__from_file=str(other)),
    )


@pytest.mark.parametrize(
    ("file", "name"),
    [("night.mp4", "night"), ("/x/My Clip (1).MP4", "my-clip-1"), ("denoise:1e7400063301", "denoise-1e7400063301"),
     ("_a.b_.mp4", "a-b"), ("a" * 300, "a" * 64)],
)  # fmt: skip
def test_the_name_is_that_of_the_file(empty: Project, file: str, name: str):
    assert choose_name("", Record(file, "a video", "itself", ()), empty) == name


@pytest.mark.parametrize(
    ("given_name", "file", "message"),
    [
        ("", "夜.mp4", "夜.mp4: no video can be called so. Give it a name: `--as NAME`."),
        ("A", "a.mp4", "--as A: a video's name is made of a-z, 0-9, _ and -, the first a letter or digit."),
        ("../a", "a.mp4", "--as ../a: a video's name is made of a-z, 0-9, _ and -, the first a letter or digit."),
        ("", "video.mp4", "`video` is the name of a stage or a command. Give the video another: `--as NAME`."),
        ("from", "a.mp4", "`from` is the name of a stage or a command. Give the video another: `--as NAME`."),
        ("decode", "a.mp4", "`decode` is the name of a stage or a command. Give the video another: `--as NAME`."),
    ],
)
def test_a_name_that_no_video_can_have_is_an_error(empty: Project, given_name: str, file: str, message: str):
    with pytest.raises(ParamsError) as caught:
        choose_name(given_name, Record(file, "a video", "itself", ()), empty)
    assert str(caught.value) == message


def test_a_name_by_which_a_sweep_calls_its_videos_is_left_to_it(empty: Project):
    """A file with it would keep the whole sweep from being made."""
    (empty.root / "params/videos").mkdir(exist_ok=True)
    path = write_sweep(empty.root, "denoise.seed = [1, 2]\n")
    with pytest.raises(ParamsError) as refused:
        choose_name("", Record("harbour-2.mp4", "a video", "itself", ()), empty)
    path.unlink()
    assert str(refused.value) == (
        "harbour-2: is how the sweep in params/videos/harbour.toml names its videos. Give the video another name: "
        "`--as NAME`."
    )


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, lambda path: path.symlink_to("gone")])
def test_no_file_is_overwritten(made: Path, empty: Project, make: Callable[[Path], object]):
    remake = plan(record_of(made), empty)
    file = empty.root / "params/videos/night.toml"
    file.parent.mkdir()
    make(file)
    before = file.lstat()
    with pytest.raises(ParamsError) as refused:
        choose_name("night", record_of(made), empty)
    assert str(refused.value) == (
        "params/videos/night.toml: is there already, and nothing is overwritten. Give the video another name: "
        "`--as NAME`."
    )
    with pytest.raises(StoreError) as caught:  # it has appeared after the look
        write_video_file(remake, empty)
    assert str(caught.value) == f"{file}: is there by now, and nothing is overwritten. Choose a name: `--as NAME`."
    assert file.lstat() == before
    assert [path.name for path in file.parent.iterdir()] == ["night.toml"]


def refuse_link(_source: Path, _target: Path) -> None:
    """What a file system without links answers."""
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def test_a_file_system_without_links_will_do(made: Path, empty: Project, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "link", refuse_link)
    remake = plan(record_of(made), empty)
    path = write_video_file(remake, empty)
    assert path.read_text(encoding="utf-8") == remake.text
    with pytest.raises(StoreError, match="is there by now, and nothing is overwritten"):
        write_video_file(remake, empty)
    assert [each.name for each in path.parent.iterdir()] == ["night.toml"]


def test_digests_that_were_read_are_kept_also_where_it_is_refused(made: Path, empty: Project):
    change_vae(empty.root / "changed")
    refusal(record_of(made), empty, model__checkpoint="changed")
    assert "changed/vae" in (empty.store.root / ".stat-cache.json").read_text()


def test_a_file_that_cannot_be_written_is_an_error(made: Path, empty: Project):
    remake = plan(record_of(made), empty)
    (empty.root / "params/videos").write_text("")
    with pytest.raises(StoreError, match=r"/params/videos/night\.toml: cannot be written: .+\.$"):
        write_video_file(remake, empty)
