"""What is sent to an actor."""

from dataclasses import replace
from pathlib import Path

from stages.fleet.errand import PACKAGE, Errand
from stages.models.checkpoint import Checkpoint
from stages.models.hub_cache import snapshot_folder
from tests.builders import CODE, build_job, build_node

COMMIT = "0" * 40
THERE = Path("/elsewhere/stages")


def build_errand(checkpoint: Checkpoint, **machine: str) -> Errand:
    job = build_job(build_node("encode"), checkpoint, Path("/store"), CODE, machine)
    return Errand(job, THERE, "s3://bucket", ("records/a", "artifacts/b"))


def test_an_errand_is_one_line_and_comes_back_from_it():
    errand = build_errand(Checkpoint(Path("/weights")), platform="cpu")
    line = errand.to_json()
    assert "\n" not in line
    assert Errand.from_json(line) == errand


def test_a_checkpoint_that_ships_with_the_code_is_that_of_the_host():
    there = Checkpoint(THERE / "models/builtin/shapes", elsewhere={"vae": Checkpoint(THERE / "models/other")})
    here = build_errand(there).job_here().checkpoint
    assert here.folder == PACKAGE / "models/builtin/shapes"
    assert here.elsewhere["vae"].folder == PACKAGE / "models/other"


def test_a_checkpoint_of_the_hub_is_in_the_cache_of_the_host():
    there = Checkpoint(Path("/home/driver/hub"), repo="owner/name", commit=COMMIT)
    assert build_errand(there).job_here().checkpoint == replace(there, folder=snapshot_folder("owner/name", COMMIT))


def test_a_checkpoint_in_a_folder_stays_where_it_is():
    assert build_errand(Checkpoint(Path("/weights"))).job_here().checkpoint.folder == Path("/weights")


def test_no_host_joins_others_by_itself():
    assert build_errand(Checkpoint(Path("/weights")), hosts="auto").job_here().machine == {"hosts": "one"}


def test_hosts_of_a_slice_have_their_places_and_the_first_answers_for_all():
    first, last = (
        replace(build_errand(Checkpoint(Path("/weights"))), hosts=f"h:1 {place}") for place in ("0/2", "1/2")
    )
    assert last.job_here().machine == {"hosts": "h:1 1/2"}
    assert [first.is_first, last.is_first] == [True, False]
    assert Errand.from_json(last.to_json()) == last
