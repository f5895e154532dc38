"""From parameters to nodes."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import pytest
from huggingface_hub import constants
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.errors import CheckpointError, ParamsError
from stages.keys import Key, Node, digest_bytes
from stages.models.checkpoint import Checkpoint, component_identity
from stages.pipeline.denoise import DenoiseParams
from stages.pipeline.rules import Neutral
from stages.pipeline.stages import STAGES, Pipeline
from stages.request.graph import Graph, build_graph
from stages.request.params import load_params
from stages.store.stat_cache import StatCache
from tests.checkpoints import edit_json, lay_into_hub_cache
from tests.hub_repo import COMMIT, Repo
from tests.hub_server import HubServer, ask_here, serve
from tests.project import copy_checkpoint, copy_params

HUB_MODEL = {"model__checkpoint": "org/model", "model__revision": "a" * 40}
# With the defaults, and a model of the hub. A change here makes what users have stored unfindable.
PINNED = {
    "encode": "061453a1e24fbb524f750b6762a44853",
    "denoise": "377dc95ca7619802aafa88402a304367",
    "decode": "c33fbb265e41707efe6a405f1d014459",
    "export": "c5d77f737bf007b2027587db27a08d64",
}
# The same where each component is identified by a commit, as those of the hub were once.
PINNED_BY_COMMIT = {
    "encode": "8477e67fee1bae93338217e342579a89",
    "denoise": "875fbafa8bc9c3b361500dfde226dc4c",
    "decode": "b1604391b4e8c50c9b240d13e6edd77d",
    "export": "899347d3893350611df6f64ecd5a2fd3",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return copy_params(tmp_path)


@pytest.fixture
def hub_root(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one video of defaults, and a hub's cache that holds HUB_MODEL: files of fixed content."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(root / "hub"))
    for component in (each for stage in STAGES for each in stage.components):
        names = [component.settings, *(component.alternatives[0] if component.alternatives else ())]
        for name in (*names, *([f"{component.weights}.safetensors"] if component.weights else ())):
            path = root / "model" / component.name / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{component.name}/{name}")
    (root / "model/README.md").write_text("All of it.")
    lay_into_hub_cache(root / "model", root / "hub", "org/model", "a" * 40)
    (root / "params/videos/demo.toml").write_text('[encode]\nprompt = "A cat plays the piano."\n')
    return root


@pytest.fixture
def hub_server(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub that answers, and has nothing yet."""
    with serve({}) as server:
        ask_here(server, root / "hub", monkeypatch)
        yield server


def graph(root: Path, pipeline: Pipeline = Pipeline(), **overrides: str) -> Graph:  # noqa: B008 (it is frozen)
    params = load_params(root, {name.replace("__", "."): text for name, text in overrides.items()}, pipeline)
    return build_graph(params, root, StatCache(root / "cache.json"), pipeline)


def changed_stages(root: Path, **overrides: str) -> set[str]:
    before, after = graph(root).videos["demo"], graph(root, **overrides).videos["demo"]
    return {stage for stage in before if before[stage].key != after[stage].key}


@pytest.mark.parametrize(
    ("name", "text", "stages"),
    [
        ("export__fps", "7", {"export"}),
        ("export__crf", "30", {"export"}),
        ("decode__decoder", "diffusers", {"decode", "export"}),
        ("decode__enable_tiling", "true", {"decode", "export"}),
        ("decode__dtype", "bfloat16", {"decode", "export"}),
        ("denoise__seed", "5", {"denoise", "decode", "export"}),
        ("denoise__flow_shift", "2.5", {"denoise", "decode", "export"}),
        ("encode__prompt", "x", {"encode", "denoise", "decode", "export"}),
        ("encode__negative_prompt", "x", {"encode", "denoise", "decode", "export"}),
        ("machine__platform", "cpu", set()),
        ("machine__mesh", "1x1x1", set()),
    ],
)
def test_a_parameter_counts_from_the_first_stage_that_reads_it(root: Path, name: str, text: str, stages: set[str]):
    assert changed_stages(root, **{name: text}) == stages


def test_a_component_counts_from_the_stage_that_reads_it(root: Path, tmp_path: Path):
    model = copy_checkpoint(tmp_path / "model")
    before = graph(root, model__checkpoint=str(model)).videos["demo"]
    assert before == graph(root).videos["demo"]  # a copy of the checkpoint is the same checkpoint
    (model / "vae" / "config.json").write_text("{}")
    after = graph(root, model__checkpoint=str(model)).videos["demo"]
    assert {stage for stage in before if before[stage].key != after[stage].key} == {"decode", "export"}


def test_a_component_from_elsewhere_counts_from_the_stage_that_reads_it(root: Path, tmp_path: Path):
    other = copy_checkpoint(tmp_path / "other", "vae")
    before = graph(root).videos["demo"]
    assert graph(root, model__components__vae=str(other)).videos["demo"] == before  # a copy is the same component
    edit_json(other / "vae/config.json", scaling_factor=2.0)
    for place in (other, other / "vae"):
        after = graph(root, model__components__vae=str(place)).videos["demo"]
        assert {stage for stage in before if before[stage].key != after[stage].key} == {"decode", "export"}


def test_a_variant_counts_where_a_component_has_it(root: Path, tmp_path: Path):
    model = copy_checkpoint(tmp_path / "model")
    before = graph(root, model__checkpoint=str(model)).videos["demo"]
    weights = model / "transformer/diffusion_pytorch_model.safetensors"
    shutil.copy(weights, weights.with_name("diffusion_pytorch_model.fp16.safetensors"))
    assert graph(root, model__checkpoint=str(model)).videos["demo"] == before
    after = graph(root, model__checkpoint=str(model), model__variant="fp16").videos["demo"]
    assert {stage for stage in before if before[stage].key != after[stage].key} == {"denoise", "decode", "export"}


def test_videos_share_the_nodes_in_which_they_agree(root: Path):
    other = (root / "params/videos/demo.toml").read_text().replace("[denoise]", "[denoise]\nseed = 5")
    (root / "params/videos/other.toml").write_text(other)
    both = graph(root)
    assert {stage: len(both.nodes(stage)) for stage in ("encode", "denoise", "export")} == {
        "encode": 1, "denoise": 2, "export": 2,
    }  # fmt: skip
    (encode,) = both.nodes("encode").values()
    assert both.videos_of(encode) == ("demo", "other")


def test_a_video_is_known_by_its_prompt_if_it_has_one(root: Path):
    assert graph(root).prompt_of("demo") == "A red circle moves to the right."
    (root / "latents").write_bytes(b"latents")
    assert graph(root, denoise__from_file="latents").prompt_of("demo") == ""


def test_reformatted_parameter_files_give_the_same_nodes(root: Path):
    before = graph(root).videos
    path = root / "params/videos/demo.toml"
    lines = path.read_text().replace("guidance_scale = ", "guidance_scale=   ")
    path.write_text("# new\n" + lines)
    assert graph(root).videos == before


def test_keys_of_what_is_computed_are_pinned(hub_root: Path):
    nodes = graph(hub_root, **HUB_MODEL).videos["demo"]
    assert {stage: node.key for stage, node in nodes.items()} == PINNED


def test_an_identity_does_not_depend_on_what_else_is_asked_for(
    hub_root: Path, hub_server: HubServer, monkeypatch: pytest.MonkeyPatch
):
    """The cache lacks an optional file of one component, and weights of another."""
    (hub_root / "model/tokenizer/chat_template.jinja").write_text("A template.")
    hub_server.repos["org/model"] = Repo.of_folder(hub_root / "model", commit="a" * 40)
    partial = hub_root / "hub/models--org--model/snapshots" / ("a" * 40)
    for name in ("README.md", "transformer/diffusion_pytorch_model.safetensors"):
        (partial / name).unlink()
    write_video(hub_root, "a", '[encode]\nprompt = "A cat plays the piano."\n')
    write_video(hub_root, "b", '[denoise]\nfrom_file = "latents"\n')
    (hub_root / "latents").write_bytes(b"content")
    with_hub = graph(hub_root, **HUB_MODEL).videos
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub_root / "empty"))
    assert graph(hub_root, **HUB_MODEL).videos == with_hub
    assert with_hub["a"]["encode"].key != PINNED["encode"]


def test_what_the_hub_lists_for_one_video_counts_for_those_before_it(hub_root: Path, hub_server: HubServer):
    """The cache holds a single file of weights, and the hub has shards beside it, which go before."""
    (hub_root / "model/vae/shard.safetensors").write_text("weights")
    index = hub_root / "model/vae/diffusion_pytorch_model.safetensors.index.json"
    index.write_text('{"weight_map": {"a": "shard.safetensors"}}')
    hub_server.repos["org/model"] = Repo.of_folder(hub_root / "model", commit="a" * 40)
    partial = hub_root / "hub/models--org--model/snapshots" / ("a" * 40)
    (partial / "transformer/diffusion_pytorch_model.safetensors").unlink()
    write_video(hub_root, "a", '[denoise]\nfrom_file = "latents"\n')
    (hub_root / "latents").write_bytes(b"content")
    first = graph(hub_root, **HUB_MODEL).videos
    assert list(first) == ["a", "demo"]
    assert graph(hub_root, **HUB_MODEL).videos == first  # with the list that is kept since


def test_nothing_is_asked_where_no_file_can_be_missing(hub_root: Path, hub_server: HubServer):
    graph(hub_root, **HUB_MODEL)
    assert hub_server.asked == []


def test_a_hub_that_does_not_answer_is_asked_as_often_for_one_video_as_for_five(hub_root: Path, hub_server: HubServer):
    model = f'[model]\ncheckpoint = "org/gone"\nrevision = "{COMMIT}"\n'
    num_asked = []
    for names in ("b", "cdef"):
        for seed, name in enumerate(names):
            write_video(hub_root, name, f'{model}[encode]\nprompt = "x"\n[denoise]\nseed = {seed}\n')
        before = hub_server.num_of_models
        assert {"b", *names} <= graph(hub_root).faults.keys()
        num_asked.append(hub_server.num_of_models - before)
    assert num_asked == [1, 1]


def test_a_key_is_made_of_the_identities_as_ever(hub_root: Path):
    found = graph(hub_root, **HUB_MODEL)
    keys: dict[str, Key] = {}
    for stage in STAGES:
        identities = {each.name: f"org/model@{HUB_MODEL['model__revision']}" for each in stage.components}
        node = found.videos["demo"][stage.name]
        inputs = {name: keys[name] for name in node.inputs}
        keys[stage.name] = replace(node, components=identities, inputs=inputs).key
    assert keys == PINNED_BY_COMMIT


class SharperParams(DenoiseParams):
    """Those of denoise, and one more, as a later version may add it."""

    sharpness: Annotated[float, Neutral(0.0)] = 0.0


@pytest.mark.parametrize(("sharpness", "is_neutral"), [("0.0", True), ("0.5", False)])
def test_a_new_parameter_with_a_neutral_value_changes_no_key_while_it_has_it(
    hub_root: Path, sharpness: str, is_neutral: bool
):
    stages = [replace(stage, parameters=SharperParams) if stage.name == "denoise" else stage for stage in STAGES]
    nodes = graph(hub_root, Pipeline(tuple(stages)), **HUB_MODEL, denoise__sharpness=sharpness).videos["demo"]
    changed = {stage for stage, node in nodes.items() if node.key != PINNED[stage]}
    assert changed == (set() if is_neutral else {"denoise", "decode", "export"})


@pytest.mark.parametrize(
    ("stage", "stages", "ignored"),
    [
        ("encode", ["encode", "denoise", "decode", "export"], {"encode__prompt": "x", "encode__dtype": "bfloat16"}),
        (
            "denoise",
            ["denoise", "decode", "export"],
            {"encode__prompt": "x", "denoise__seed": "5", "denoise__num_frames": "13", "denoise__dtype": "bfloat16"},
        ),
    ],
)
def test_a_file_takes_the_place_of_a_stage_and_of_all_before_it(
    root: Path, stage: str, stages: list[str], ignored: dict[str, str]
):
    (root / "file").write_bytes(b"content")
    found = graph(root, **{f"{stage}__from_file": "file"})
    assert list(found.videos["demo"]) == stages
    node = found.videos["demo"][stage]
    assert node == Node(stage, {"from_file": digest_bytes(b"content")}, {}, {})
    assert found.files == {node.key: root / "file"}
    assert graph(root, **{f"{stage}__from_file": "file"}, **ignored).videos == found.videos


def test_latents_from_a_file_make_embeddings_from_a_file_needless(root: Path):
    for name in ("embeddings", "latents"):
        (root / name).write_text(name)
    both = graph(root, encode__from_file="embeddings", denoise__from_file="latents")
    assert both == graph(root, denoise__from_file="latents")


@pytest.mark.parametrize(
    ("stage", "components"),
    [("encode", ["transformer", "scheduler", "guider", "vae"]), ("denoise", ["vae"])],
)
def test_nothing_is_required_of_the_checkpoint_that_a_file_makes_needless(
    root: Path, stage: str, components: list[str]
):
    copy_checkpoint(root / "model", *components)
    (root / "file").write_bytes(b"content")
    file = {f"{stage}__from_file": "file"}
    assert graph(root, model__checkpoint="model", **file).videos == graph(root, **file).videos


# content, name, modification time in ns, and a seed that counts for nothing
FILES = st.tuples(st.binary(max_size=3), st.sampled_from(["a", "b/c"]), st.integers(0, 2**60), st.integers(0, 9))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(FILES, FILES)
def test_the_key_of_a_file_is_that_of_its_content_alone(
    root: Path, one: tuple[bytes, str, int, int], other: tuple[bytes, str, int, int]
):
    chains = []
    for content, name, mtime_ns, seed in (one, other):
        file = root / "files" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        os.utime(file, ns=(mtime_ns, mtime_ns))
        nodes = graph(root, denoise__from_file=str(file), denoise__seed=str(seed)).videos["demo"]
        chains.append([node.key for node in nodes.values()])
    are_equal = [first == second for first, second in zip(*chains, strict=True)]
    assert are_equal == [one[0] == other[0]] * 3


def test_videos_with_and_without_a_file_stand_side_by_side(root: Path):
    (root / "latents").write_bytes(b"content")
    (root / "params/videos/other.toml").write_text('[denoise]\nfrom_file = "latents"\n')
    both = graph(root)
    assert {stage: len(both.nodes(stage)) for stage in ("encode", "denoise", "decode")} == {
        "encode": 1, "denoise": 2, "decode": 2,
    }  # fmt: skip
    assert both.videos_of(both.videos["demo"]["encode"]) == ("demo",)
    assert both.videos_of(both.videos["other"]["denoise"]) == ("other",)
    assert both.checkpoint_of(both.videos["other"]["denoise"]) == both.checkpoints["other"]


def test_a_file_that_cannot_be_read_is_reported(root: Path):
    with pytest.raises(ParamsError) as error:
        graph(root, denoise__from_file="/proc/self/mem")
    assert str(error.value) == (
        "denoise.from_file: /proc/self/mem cannot be read (Input/output error). Fix that, or name another file."
    )


def test_nodes_that_need_the_same_model_stand_together(root: Path):
    for seed, (name, decoder) in enumerate({"a": "native", "b": "diffusers", "c": "native", "d": "diffusers"}.items()):
        text = f'[encode]\nprompt = "x"\n[denoise]\nseed = {seed}\n[decode]\ndecoder = "{decoder}"\n'
        (root / f"params/videos/{name}.toml").write_text(text)
    (root / "params/videos/demo.toml").unlink()
    found = graph(root)
    order = [video for node in found.nodes("decode").values() for video in found.videos_of(node)]
    assert order == ["a", "c", "b", "d"]
    assert [*found.nodes("encode")] == [found.videos["a"]["encode"].key]  # one for all


def write_video(root: Path, name: str, text: str) -> None:
    (root / f"params/videos/{name}.toml").write_text(text)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            '[model]\ncheckpoint = "gone"\n[encode]\nprompt = "x"\n',
            "model.checkpoint = 'gone': no such folder, and not a hub id (owner/name). Correct the path in "
            "params/model.toml or the video's file.",
        ),
        (
            '[model]\ncheckpoint = "builtin:gone"\n[encode]\nprompt = "x"\n',
            "model.checkpoint = 'builtin:gone': no such built-in checkpoint. There is: shapes.",
        ),
        (
            '[denoise]\nfrom_file = "/proc/self/mem"\n',
            "denoise.from_file: /proc/self/mem cannot be read (Input/output error). Fix that, or name another file.",
        ),
    ],
)
def test_what_one_video_cannot_be_made_of_stops_that_video_alone_and_names_it(root: Path, text: str, fault: str):
    alone = graph(root).videos
    write_video(root, "other", text)
    found = graph(root)
    assert found.videos == alone
    assert {name: str(error) for name, error in found.faults.items()} == {"other": f"other: {fault}"}


def test_an_incomplete_checkpoint_of_one_video_stops_that_video_alone(root: Path):
    copy_checkpoint(root / "model", "transformer")
    write_video(root, "other", '[model]\ncheckpoint = "model"\n[encode]\nprompt = "x"\n')
    found = graph(root)
    assert found.videos.keys() == {"demo"}
    assert str(found.faults["other"]).startswith(f"other: {root}/model: has no component `text_encoder`.")


def test_a_fault_of_a_file_is_among_those_of_the_graph(root: Path):
    write_video(root, "other", "=")
    assert str(graph(root).faults["other"]).startswith("params/videos/other.toml: not valid TOML")


def test_videos_with_one_fault_share_one_message_that_names_them(root: Path):
    for name in "abcd":
        write_video(root, name, '[model]\ncheckpoint = "gone"\n[encode]\nprompt = "x"\n')
    faults = graph(root).faults
    assert faults.keys() == set("abcd")
    (message,) = {str(error) for error in faults.values()}
    assert message.startswith("a, b, c and 1 more: model.checkpoint = 'gone': ")


def test_sound_videos_share_nodes_as_before_beside_one_that_is_not(root: Path):
    for name in ("a", "b"):
        write_video(root, name, '[encode]\nprompt = "x"\n')
    write_video(root, "c", "=")
    found = graph(root)
    assert found.videos_of(found.videos["a"]["export"]) == ("a", "b")


@pytest.mark.parametrize(
    ("overrides", "kind"),
    [
        ({"model__checkpoint": "gone"}, CheckpointError),
        ({"model__revision": "main"}, CheckpointError),
        ({"denoise__from_file": "/proc/self/mem"}, ParamsError),
    ],
)
def test_a_typed_checkpoint_or_file_that_cannot_be_used_stops_all(
    root: Path, overrides: dict[str, str], kind: type[Exception]
):
    with pytest.raises(kind) as error:
        graph(root, **overrides)
    assert "demo" not in str(error.value)


def test_a_checkpoint_is_looked_up_and_its_components_are_identified_once_for_all_videos(
    root: Path, monkeypatch: pytest.MonkeyPatch
):
    video = (root / "params/videos/demo.toml").read_text()
    for index in range(20):
        (root / f"params/videos/video{index}.toml").write_text(video.replace("fps = 8", f"fps = {index + 1}"))
    asked: list[object] = []

    def identify(checkpoint: Checkpoint, component: object, cache: StatCache) -> str:
        asked.append(component)
        return component_identity(checkpoint, component, cache)  # type: ignore[arg-type]

    monkeypatch.setattr("stages.request.graph.component_identity", identify)
    assert len(graph(root).videos) == 21
    assert len(asked) == len({*asked}) == sum(len(stage.components) for stage in STAGES)


def test_what_is_typed_for_one_video_makes_nothing_of_another_a_fault_of_the_command_line(root: Path):
    write_video(root, "harbour", '[model]\ncheckpoint = "gone"\n[encode]\nprompt = "x"\n')
    overrides = {"model.checkpoint": "builtin:shapes", "video": "demo"}
    found = build_graph(load_params(root, overrides, Pipeline()), root, StatCache(root / "cache"), Pipeline())
    assert [*found.videos] == ["demo"]
    assert str(found.faults["harbour"]).endswith("Correct the path in params/model.toml or the video's file.")
