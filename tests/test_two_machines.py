"""Two machines and an S3: what one has made, the other takes without starting a stage; and no secret is left behind."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import pytest

from tests.builders import files_below
from tests.project import HEAVY, copy_built, copy_project, list_made, run_doit, set_defaults, watch_doit
from tests.remote.s3 import BUCKET, SECRET, failing_s3, list_requests, point_to

pytestmark = pytest.mark.processes
pytest.importorskip("obstore", reason="the extra `remote` is not installed")
REMOTE = f"s3://{BUCKET}/team"


@dataclass(frozen=True)
class Shared:
    """Two projects, after the first has pushed its video with frames, and what the second has printed and started."""

    one: Path
    other: Path
    printed: str
    started: list[str]
    modules: set[str]


@pytest.fixture(scope="module")
def shared(built: Path, s3_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    folder = tmp_path_factory.mktemp("machines")
    with pytest.MonkeyPatch.context() as patch:
        point_to(patch, s3_port)
        one, other = copy_built(built, folder / "one"), folder / "other"
        other.mkdir()
        copy_project(other)
        for root in (one, other):
            set_defaults(root, "machine", remote=REMOTE)
        printed = [run_doit(one, "push", "machine.remote_push=all"), run_doit(one, "remote", "status")]
        _, started, modules = watch_doit(other)
        printed += [run_doit(other), run_doit(other, "list"), run_doit(other, "--debug")]
        text = "".join(result.stdout + result.stderr for result in printed)
        assert all(result.returncode == 0 for result in printed), text
        yield Shared(one, other, text, started, modules)


def test_what_another_machine_has_made_is_taken_without_a_stage(shared: Shared):
    assert shared.started == []
    assert not shared.modules & HEAVY
    assert "demo: artifacts/videos/demo.mp4 (up to date)" in shared.printed
    video = "artifacts/videos/demo.mp4"
    assert (shared.other / video).read_bytes() == (shared.one / video).read_bytes()


def test_only_the_video_is_fetched_and_of_the_rest_what_it_is(shared: Shared):
    payloads = {
        path.parent.parent.name for path in (shared.other / "artifacts").glob("*/*/*.*") if "json" not in path.name
    }
    assert payloads == {"export", "videos"} - {"videos"}
    assert {path.name for path in (shared.other / "artifacts/decode").glob("*/*")} == {
        "manifest.json",
        "run.collected.json",
    }


@dataclass(frozen=True)
class Remade:
    """A project in which another video was made of frames that were fetched, what was printed, and what was asked."""

    root: Path
    printed: str
    requests: list[str]


@pytest.fixture(scope="module")
def remade(shared: Shared, s3_port: int, tmp_path_factory: pytest.TempPathFactory) -> Remade:
    root = copy_built(shared.other, tmp_path_factory.mktemp("remade") / "project")
    before = len(list_requests(s3_port))
    result = run_doit(root, "export.fps=12", "machine.remote_push=never")
    assert result.returncode == 0, result.stdout + result.stderr
    return Remade(root, result.stdout + result.stderr, list_requests(s3_port)[before:])


def test_another_rate_fetches_the_frames_and_nothing_else(remade: Remade):
    verbs = [(line.split(":")[0], line.split()[1]) for line in remade.printed.splitlines() if " in " in line]
    assert verbs == [("decode", "fetched"), ("export", "made")]
    asked = [
        re.sub(r"/[0-9a-f]{32}", "", line.split("/team/")[1]) for line in remade.requests if "list-type" not in line
    ]
    assert sorted(asked) == ["artifacts/decode.json", "artifacts/denoise.json", "artifacts/encode.json",
                             "payloads/frames.safetensors"]  # fmt: skip


def test_no_secret_is_in_a_video_that_was_made_with_credentials_nor_in_what_it_says_of_itself(remade: Remade):
    videos = [*remade.root.glob("artifacts/export/*/video.mp4")]
    assert len(videos) == 2  # that which was fetched, and that which was made
    for video in videos:
        with av.open(video) as container:
            said = "".join(container.metadata.values())
        assert "A red circle" in said
        assert SECRET not in said
    files = files_below(remade.root)
    assert [name for name, content in files.items() if SECRET.encode() in content] == []
    assert SECRET not in remade.printed


def test_no_secret_is_in_any_file_or_message(shared: Shared):
    files = files_below(shared.one) | files_below(shared.other)
    assert len(files) > 20
    assert [name for name, content in files.items() if SECRET.encode() in content] == []
    assert SECRET not in shared.printed


def test_when_all_is_here_the_remote_store_is_not_asked(shared: Shared):
    _, _, modules = watch_doit(shared.other)
    assert "obstore" not in modules


def test_without_a_remote_store_the_library_is_not_loaded(shared: Shared):
    _, _, modules = watch_doit(shared.other, "machine.remote=")
    assert not {name for name in modules if name.split(".")[0] == "obstore"}
    assert not {name for name in modules if name.startswith("stages.remote.")} - {"stages.remote.address"}


def test_where_the_remote_store_refuses_a_run_makes_its_video_and_says_so_once(
    shared: Shared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    root = copy_built(shared.one, tmp_path / "project")
    with failing_s3(403) as port:
        point_to(monkeypatch, port)
        result = run_doit(root, "export.fps=12")
    assert result.returncode == 0, result.stdout + result.stderr
    assert [line.split(":")[0] for line in list_made(result)] == ["export"]
    assert re.fullmatch(
        rf"warning: {REMOTE}: it refuses the credentials [^\n]*\. Work goes on without it\.\n"
        r"not pushed: export:[0-9a-f]{12}\. `doit push export.fps=12` goes on\.\n",
        result.stderr,
    )
    assert SECRET not in result.stdout + result.stderr
