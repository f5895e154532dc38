"""What a gc does to a store as a whole."""

import json
import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from stages.errors import StoreError
from stages.keys import ArtifactId
from stages.machine.kept_programs import FOLDER as PROGRAMS
from stages.machine.private_folder import open_private
from stages.store.artifacts import Store
from stages.store.housekeeping import Limits, Outcome, collect_garbage
from stages.store.inventory import Entry, read_entry, take_inventory
from stages.store.leases import InUse, Leases
from stages.store.pins import Pin, Pins
from stages.store.posters import FACTS, poster_folder
from stages.store.previews import ANIMATION, preview_folder
from stages.store.quantities import Limit
from stages.store.video_links import VideoLinks
from tests.builders import CODE, build_node, collect, files_below, publish
from tests.store.inventories import DAY, NOW, SECONDS, SIZES, build_video, fill, ids, set_age

NOTHING = Limit(size_bytes=0)
LIMITS = Limits(programs=Limit(size_bytes=0), answers=Limit(age_s=90 * DAY), logs=Limit(age_s=30 * DAY))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "artifacts")


def gc(
    store: Store, wanted: tuple[ArtifactId, ...] = (), rest: Limit | None = NOTHING, *, is_dry_run: bool = False
) -> Outcome:
    limits = replace(LIMITS, rest=rest)
    return collect_garbage(store.root, frozenset(wanted), limits, Leases(store.root), now=NOW, is_dry_run=is_dry_run)


def whole(store: Store) -> set[ArtifactId]:
    return {each for each, entry in take_inventory(store.root).entries.items() if entry.payload_bytes is not None}


def write_partial(store: Store, artifact: ArtifactId, age_s: float = 0.0) -> Path:
    state = store.root / "partial" / artifact.stage / artifact.key / "state"
    state.parent.mkdir(parents=True)
    state.write_text("x" * 1000)
    for path in (state, state.parent):
        os.utime(path, (NOW - age_s, NOW - age_s))
    return state


def test_what_is_wanted_and_what_is_pinned_stays(store: Store):
    wanted, pinned, rest = (build_video(seed=seed, prompt=f"prompt {seed}") for seed in (1, 2, 3))
    fill(store, wanted, pinned, rest)
    Pins(store.root).add(Pin(pinned["export"].artifact, ids(pinned, "encode", "denoise", "decode")))
    outcome = gc(store, ids(wanted))
    assert whole(store) == {*ids(wanted), *ids(pinned)}
    assert {*outcome.collected.payloads} == {*ids(rest)}


def test_a_pin_keeps_what_something_was_made_from_though_its_own_manifest_is_damaged(store: Store):
    video = build_video()
    fill(store, video)
    Pins(store.root).add(Pin(video["export"].artifact, ids(video, "encode", "denoise", "decode")))
    (store.folder(video["export"].artifact) / "manifest.json").write_text("{")
    gc(store)
    assert whole(store) == {*ids(video, "encode", "denoise", "decode")}


def test_a_pin_that_cannot_be_read_stops_it_before_anything_is_deleted(store: Store):
    video = build_video()
    fill(store, video)
    Pins(store.root).add(Pin(video["export"].artifact, ()))
    next(iter(Pins(store.root).files())).write_text("{")
    before = files_below(store.root)
    with pytest.raises(StoreError, match="Until then nothing is deleted"):
        gc(store)
    assert files_below(store.root) == before


def test_what_a_lease_says_is_in_use_stays(store: Store):
    video = build_video()
    fill(store, video)
    with Leases(store.root).hold(video["export"], ids(video, "encode", "denoise", "decode"), wait=lambda *_: None):
        gc(store)
        assert whole(store) == {*ids(video)}
    gc(store)
    assert whole(store) == set()


def test_without_a_limit_no_artifact_goes(store: Store):
    fill(store, build_video(), age_s=1000 * DAY)
    before = whole(store)
    gc(store, rest=None)
    assert whole(store) == before


def test_when_not_all_that_is_wanted_is_known_no_artifact_and_no_partial_state_goes(store: Store):
    video = build_video()
    fill(store, video)
    collect(store, video["decode"])
    store.remove(video["export"].artifact)
    state = write_partial(store, build_video(seed=9)["denoise"].artifact, age_s=1000 * DAY)
    before = files_below(store.root)
    limits = replace(LIMITS, rest=NOTHING)
    collect_garbage(store.root, frozenset(), limits, Leases(store.root), now=NOW, are_all_known=False)
    assert files_below(store.root) == before
    assert state.exists()


def test_a_dry_run_says_what_would_go_and_changes_nothing(store: Store):
    video = build_video()
    fill(store, video)
    VideoLinks(store, suffix=".mp4").point_to("demo", video["export"].artifact)
    set_age(store, video["export"], 0.0)
    log = store.root / "logs/decode-20200101-000000-vm-1.log"
    log.parent.mkdir()
    log.write_text("printed")
    os.utime(log, (0, 0))
    before = files_below(store.root)
    said = gc(store, is_dry_run=True)
    assert files_below(store.root) == before
    done = gc(store)
    assert said.collected.payloads == done.collected.payloads
    assert (said.freed, said.links) == (done.freed, done.links)
    assert [*done.links] == [store.root / "videos/demo.mp4"]
    assert done.freed == {"logs": len("printed")}


def test_of_partial_states_those_of_wanted_and_pinned_nodes_stay(store: Store):
    wanted, pinned, rest = (build_video(seed=seed) for seed in (1, 2, 3))
    states = {
        name: write_partial(store, video["denoise"].artifact)
        for name, video in (("wanted", wanted), ("pinned", pinned), ("rest", rest))
    }
    Pins(store.root).add(Pin(pinned["export"].artifact, ids(pinned, "encode", "denoise", "decode")))
    assert gc(store, ids(wanted)).freed == {"partial states": 1000}
    assert {name for name, state in states.items() if state.exists()} == {"wanted", "pinned"}


@pytest.mark.parametrize(
    ("rest", "stays"),
    [
        (None, True),
        (Limit(age_s=2 * DAY), True),
        (Limit(age_s=0.5 * DAY), False),
        (Limit(size_bytes=1000), True),
        (Limit(size_bytes=999), False),
    ],
)
def test_a_partial_state_that_nobody_needs_is_part_of_the_rest(store: Store, rest: Limit | None, stays: bool):
    state = write_partial(store, build_video()["denoise"].artifact, age_s=DAY)
    gc(store, rest=rest)
    assert state.exists() is stays


def test_partial_states_go_after_artifacts_the_oldest_first(store: Store):
    video = build_video(seed=1)
    total = sum(entry.payload_bytes or 0 for entry in fill(store, video).entries.values())
    states = [write_partial(store, build_video(seed=seed)["denoise"].artifact, seed * DAY) for seed in (2, 3)]
    both = sum(state.stat().st_size for state in states)
    gc(store, rest=Limit(size_bytes=both + total))
    assert whole(store) == {*ids(video)}
    gc(store, rest=Limit(size_bytes=both))
    assert ([state.exists() for state in states], whole(store)) == ([True, True], set())
    gc(store, rest=Limit(size_bytes=both - 1))
    assert [state.exists() for state in states] == [True, False]


def test_a_partial_state_of_what_is_there_and_not_wanted_goes_without_a_limit(store: Store):
    video = build_video()
    fill(store, video)
    state = write_partial(store, video["denoise"].artifact)
    gc(store, rest=None)
    assert not state.exists()


def test_a_partial_state_that_a_run_takes_up_while_artifacts_are_deleted_stays(store: Store):
    """It was listed when nobody was at work on it, and is minutes older than the deletion."""
    fill(store, build_video())
    node = build_video(seed=2)["denoise"]
    state = write_partial(store, node.artifact, age_s=DAY)
    leases = Leases(store.root)

    class Others:
        """Somebody begins when the first artifact is to be deleted."""

        def __init__(self) -> None:
            self.num_looks = 0
            self.work = ExitStack()

        def look(self) -> InUse:
            return leases.look()

        def files(self) -> list[Path]:
            if not whole(store) or self.num_looks:
                return leases.files()
            self.num_looks = 1
            self.work.enter_context(leases.hold(node, node.input_artifacts, wait=lambda *_: None))
            return leases.files()

    others = Others()
    limits = replace(LIMITS, rest=NOTHING)
    with others.work:
        outcome = collect_garbage(store.root, frozenset(), limits, others, now=NOW)
    assert others.num_looks == 1
    assert "partial states" not in outcome.freed
    assert state.exists()


def test_what_a_partial_state_or_an_artifact_elsewhere_holds_stays_there(store: Store, tmp_path: Path):
    """People have put folders elsewhere, and links in their places: those of artifacts are not followed."""
    video = build_video()
    fill(store, video)
    state = write_partial(store, build_video(seed=2)["denoise"].artifact).parent
    for name, folder in (("artifact", store.folder(video["decode"].artifact)), ("state", state)):
        folder.rename(tmp_path / name)
        folder.symlink_to(tmp_path / name)
    before = files_below(tmp_path / "artifact") | files_below(tmp_path / "state")
    outcome = gc(store)
    assert outcome.notes == []
    assert files_below(tmp_path / "artifact") | files_below(tmp_path / "state") == before
    assert store.folder(video["decode"].artifact).is_symlink()
    assert not os.path.lexists(state)


def test_a_stage_may_have_its_folder_elsewhere(store: Store, tmp_path: Path):
    """All of it is the store's, whoever has more room on another disk."""
    video = build_video()
    fill(store, video)
    (store.root / "decode").rename(tmp_path / "decode")
    (store.root / "decode").symlink_to(tmp_path / "decode")
    assert {*gc(store).collected.payloads} == {*ids(video)}
    assert [*(tmp_path / "decode").iterdir()] == []


def test_a_note_that_a_killed_process_has_not_finished_goes(store: Store):
    node = build_node()
    publish(store, node)
    left = store.folder(node.artifact) / ".checked-0123456789abcdef"
    left.write_text("half")
    os.utime(left, (NOW - 2 * DAY, NOW - 2 * DAY))
    assert gc(store, (node.artifact,)).freed == {"files that were never finished": 4}
    assert not left.exists()
    assert store.verdict(node, CODE).is_fresh


@pytest.mark.parametrize("damage", ["run.json", "manifest.json"])
def test_a_number_of_hundreds_of_digits_stops_nothing(store: Store, damage: str):
    video = build_video()
    fill(store, video)
    file = store.folder(video["decode"].artifact) / damage
    if damage == "run.json":
        file.write_text('{"wall_s": {"decode": 1%s}}' % ("0" * 400))
    else:
        fields = json.loads(file.read_text())
        del fields["checksum"]
        file.write_text(json.dumps(fields | {"size_bytes": 10**400}))
    gc(store)
    assert whole(store) == set()


def test_what_cannot_be_deleted_is_noted(store: Store, monkeypatch: pytest.MonkeyPatch):
    answer = build_node("preflight")
    with store.draft() as draft:
        (draft / "figures.json").write_text("{}")
        store.publish(answer, draft, payload="figures.json", inputs={}, code=CODE, run={})
    set_age(store, answer, 100 * DAY)
    state = write_partial(store, build_video()["denoise"].artifact)

    def refuse(path: Path, **_options: object) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    monkeypatch.setattr("stages.store.partial.delete_folder", refuse)
    assert gc(store).notes == [
        f"{state.parent}: cannot be deleted (Operation not permitted)",
        f"{answer.title}: cannot be deleted (Operation not permitted)",
    ]


def test_artifacts_are_read_once_also_where_answers_go(store: Store, monkeypatch: pytest.MonkeyPatch):
    """Not again to find out whether an answer was made from one."""
    video = build_video()
    fill(store, video)
    answer = build_node("preflight")
    with store.draft() as draft:
        (draft / "figures.json").write_text("{}")
        store.publish(answer, draft, payload="figures.json", inputs={}, code=CODE, run={})
    set_age(store, answer, 100 * DAY)
    read: list[ArtifactId] = []

    def count(found: tuple[Path, ArtifactId]) -> Entry | None:
        read.append(found[1])
        return read_entry(found)

    for module in ("inventory", "collector", "housekeeping"):
        monkeypatch.setattr(f"stages.store.{module}.read_entry", count)
    assert gc(store, ids(video)).freed == {"answers of `doit preflight`": 2}
    assert [artifact for artifact in read if artifact.stage != "preflight"] == [*sorted(ids(video), key=str)]


def test_programs_answers_and_logs_have_limits_of_their_own(store: Store):
    wanted = build_video()
    fill(store, wanted)
    with open_private(store.root / PROGRAMS) as folder:
        folder.write("a" * 32, b"program")
    for age_s in (89 * DAY, 91 * DAY):
        answer = build_node("preflight", days=age_s)
        with store.draft() as draft:
            (draft / "figures.json").write_text("{}")
            store.publish(
                answer, draft, payload="figures.json", inputs={}, code=CODE, run={"wall_s": {"compiling": 60.0}}
            )
        set_age(store, answer, age_s)
    outcome = gc(store, ids(wanted), rest=None)
    assert outcome.freed == {"answers of `doit preflight`": 2, "compiled programs": 7 + 32}
    assert len([*(store.root / "preflight").iterdir()]) == 1


def test_programs_of_another_user_stay_and_are_noted(store: Store):
    publish(store, build_node())
    (store.root / PROGRAMS).mkdir(mode=0o777)
    (store.root / PROGRAMS).chmod(0o777)
    (note,) = gc(store, rest=None).notes
    assert note.startswith(f"compiled programs stay: {store.root / PROGRAMS}: is not a folder that you own")


def test_a_gc_that_was_killed_is_finished_by_the_next(store: Store):
    video = build_video()
    fill(store, video)
    folder = store.folder(video["decode"].artifact)
    (folder / "run.json").rename(folder / "run.collected.json")
    remnant = store.root / "export" / ("a" * 32)
    remnant.mkdir()
    (remnant / "run.collected.json").touch()
    gc(store, ids(video), rest=None)
    assert (folder / "run.json").is_file()
    assert not remnant.exists()


def test_on_a_disk_without_room_it_frees_all_that_it_may(store: Store, monkeypatch: pytest.MonkeyPatch):
    """Nothing is created: neither a file nor a folder."""
    fill(store, build_video(seed=1), build_video(seed=2))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    opened = os.open
    monkeypatch.setattr(os, "mkdir", refuse)
    monkeypatch.setattr(
        os,
        "open",
        lambda path, flags, *rest, **named: (
            refuse()
            if flags & os.O_CREAT and not os.path.exists(path)  # noqa: PTH110
            else opened(path, flags, *rest, **named)
        ),
    )
    outcome = gc(store)
    monkeypatch.undo()
    assert outcome.notes == []
    assert take_inventory(store.root).entries == {}


def test_what_was_collected_costs_what_it_took_and_can_be_had_again(store: Store):
    video = build_video()
    fill(store, video)
    gc(store, ids(video, "encode", "denoise", "export"), rest=NOTHING)
    assert whole(store) == {*ids(video)}  # wanted with all that it was made from
    gc(store, ids(video, "encode"), rest=Limit(size_bytes=SIZES["denoise"] + SIZES["export"]))
    assert store.verdict(video["decode"], CODE).state == "collected"
    assert take_inventory(store.root).rebuild_s(video["decode"].artifact) == SECONDS["decode"]
    publish(store, video["decode"], store.present_manifest(video["decode"].artifact).node.key.encode() * 3125)
    assert store.verdict(video["export"], CODE).is_fresh


def test_pictures_of_videos_that_are_gone_go(store: Store):
    wanted, rest = build_video(seed=1), build_video(seed=2)
    fill(store, wanted, rest)
    manifests = [store.present_manifest(video["export"].artifact) for video in (wanted, rest)]
    folders = [poster_folder(store.root, manifest.digest) for manifest in manifests]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / FACTS).write_text("facts")
    assert gc(store, ids(wanted), rest=None).freed == {}
    assert gc(store, ids(wanted)).freed["pictures of videos"] == 5
    assert [folder.exists() for folder in folders] == [True, False]


def test_previews_of_nodes_that_need_not_be_kept_go(store: Store):
    wanted, rest = build_video(seed=1), build_video(seed=2)
    files = [preview_folder(store.root, video["denoise"].artifact) / ANIMATION for video in (wanted, rest)]
    for file in files:
        file.parent.mkdir(parents=True)
        file.write_text("picture")
    assert gc(store, ids(wanted), is_dry_run=True).freed == {"previews": 7}
    assert files[1].exists()
    assert gc(store, ids(wanted)).freed == {"previews": 7}
    assert [file.parent.exists() for file in files] == [True, False]
