"""The tables [model] and [machine]: their rules, and where components are taken from."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from stages.errors import ParamsError
from stages.pipeline.stages import Pipeline
from stages.request.params import load_params
from tests.project import copy_params
from tests.request.messages import message

STEPS_RULE = 'must be "auto" or a number of steps, 1 to 1000000.'
PREVIEWS_RULE = 'must be "auto", "never" or a number of steps, 1 to 1000000.'
ADDRESS_RULE = (
    "has a user, a password or a query in it, and this file is for everybody. Leave them out: credentials come from "
    "the environment or the machine's role, as for the cloud's own tools."
)
HOSTS_RULE = (
    'must be "auto", "one", or "<address>:<port> <index>/<count>" with the address of host 0, such as '
    '"10.0.0.2:8482 0/4" on the first of four.'
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return copy_params(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("machine.checkpoint_every", "often", f'"often": {STEPS_RULE}'),
        ("machine.checkpoint_every", "0", f'"0": {STEPS_RULE}'),
        ("machine.checkpoint_every", "-3", f'"-3": {STEPS_RULE}'),
        ("machine.checkpoint_every", "1.5", f'"1.5": {STEPS_RULE}'),
        ("machine.checkpoint_every", "1000001", f'"1000001": {STEPS_RULE}'),
        ("machine.checkpoint_every", "9" * 5000, f'"{"9" * 500}…" (5000 characters): {STEPS_RULE}'),
        ("machine.preview_every", "often", f'"often": {PREVIEWS_RULE}'),
        ("machine.preview_every", "0", f'"0": {PREVIEWS_RULE}'),
        ("machine.platform", "cuda", "\"cuda\": must be 'auto', 'cpu', 'tpu' or 'gpu'."),
        (
            "machine.mesh",
            "x",
            '"x": mesh \'x\' is not "auto" and not three sizes above 0 (cfg x sequence x heads), such as "2x4x1". '
            "Set machine.mesh in params/machine.toml.",
        ),
        (
            "machine.mesh",
            "4x1x1",
            '"4x1x1": mesh "4x1x1": guidance has 2 branches. Set machine.mesh in params/machine.toml to a cfg of '
            "1 or 2.",
        ),
        ("machine.hosts", "10.0.0.2:8482", f'"10.0.0.2:8482": {HOSTS_RULE}'),
        ("machine.hosts", "10.0.0.2:8482 4/4", f'"10.0.0.2:8482 4/4": {HOSTS_RULE}'),
        ("machine.remote", "bucket", '"bucket": must be a bucket or a folder: s3://, gs://, az://, file://.'),
        ("machine.remote", "s3://user:pass@b/x", f'"s3://…@b/x": {ADDRESS_RULE}'),
        ("machine.remote", "s3://user:a/pass@b/x", f'"s3://…@b/x": {ADDRESS_RULE}'),
        ("machine.remote", "az://c/x?sig=pass", f'"az://c/x?…": {ADDRESS_RULE}'),
        ("machine.remote_fetch", "some", "\"some\": must be 'needed' or 'all'."),
        ("machine.remote_limit", "30d", '"30d": must be a size, such as 2GB or 500MB, or empty for any.'),
    ],
)
def test_a_setting_out_of_its_rule_is_reported_with_the_rule(root: Path, name: str, text: str, rule: str):
    with pytest.raises(ParamsError) as error:
        load_params(root, {name: text}, Pipeline())
    assert str(error.value) == f"command line, {name} = {rule}"


@pytest.mark.parametrize(
    ("typed", "expected"), [('"auto"', "auto"), ("10", "10"), ('"10"', "10"), ("1", "1"), ("1_000_000", "1000000")]
)
def test_how_often_a_denoise_is_saved_is_a_number_of_steps_or_auto(root: Path, typed: str, expected: str):
    (root / "params/machine.toml").write_text(f"checkpoint_every = {typed}\n")
    assert load_params(root, {}, Pipeline()).machine.checkpoint_every == expected


@pytest.mark.parametrize("typed", ["true", "0", "-1", "10.0", "[]", '"ten"'])
def test_a_number_of_steps_in_a_file_is_checked(root: Path, typed: str):
    (root / "params/machine.toml").write_text(f"checkpoint_every = {typed}\n")
    assert message(root) == f"params/machine.toml, machine.checkpoint_every = {typed}: {STEPS_RULE}"


def test_machine_settings_are_no_part_of_a_video(root: Path):
    params = load_params(root, {"machine.platform": "cpu"}, Pipeline())
    assert params.machine.platform == "cpu"
    assert "machine" not in params.videos["demo"].stages


def test_components_are_taken_from_where_each_layer_says(root: Path):
    (root / "params/model.toml").write_text('[components]\nvae = "a"\nscheduler = "b"\n')
    demo = root / "params/videos/demo.toml"
    demo.write_text(demo.read_text() + '[model.components]\nvae = "c"\ntransformer = "d"\n')

    def elsewhere(**overrides: str) -> Mapping[str, str]:
        named = {f"model.components.{name}": text for name, text in overrides.items()}
        return load_params(root, named, Pipeline()).videos["demo"].model.elsewhere

    assert elsewhere() == {"vae": "c", "scheduler": "b", "transformer": "d"}
    assert elsewhere(vae="e", scheduler="") == {"vae": "e", "transformer": "d"}


@pytest.mark.parametrize("text", ["", "[components]\n", "[components]\nvae = ''\n", "components = {}\n"])
def test_no_component_is_taken_from_elsewhere_where_none_is_named(root: Path, text: str):
    (root / "params/model.toml").write_text(text)
    assert load_params(root, {}, Pipeline()).videos["demo"].model.elsewhere == {}


def test_an_unknown_component_is_reported_with_a_near_name(root: Path):
    (root / "params/model.toml").write_text('[components]\nvea = "a"\n')
    (root / "params/videos/demo.toml").write_text('[encode]\nprompt = "x"\n[model.components]\ntransfomer = "b"\n')
    assert message(root, model__components__text_encode="c") == "\n  ".join(
        [
            "command line, model.components.text_encode = c: no such parameter. Did you mean "
            "`model.components.text_encoder`?",
            "params/model.toml, model.components.vea: no such parameter. Did you mean `components.vae`?",
            "params/videos/demo.toml, model.components.transfomer: no such parameter. Did you mean "
            "`components.transformer`?",
        ]
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("components = 3", "model.components = 3: must be a table."),
        ("[components]\nvae = 3", "model.components.vae = 3: must be text."),
        ("[components.vae]\nfolder = 'a'", "model.components.vae = {'folder': 'a'}: must be text."),
        ("[checkpoint]", "model.checkpoint = {}: must be text."),
    ],
)
def test_a_component_that_is_no_text_is_reported(root: Path, text: str, fault: str):
    (root / "params/model.toml").write_text(text)
    assert message(root) == f"params/model.toml, {fault}"
