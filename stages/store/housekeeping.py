"""What `doit gc` does to a store: looks at all that is there, plans, deletes, and says what was deleted.

Knows no parameters: it is given the artifacts that they need. The order in which artifacts go is in collection.py.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from stages.errors import StoreError
from stages.keys import ArtifactId
from stages.machine.kept_programs import trim_programs
from stages.store.collection import Plan, plan_collection
from stages.store.collector import Collected, Collector, Uses
from stages.store.inventory import Inventory, artifacts_of_stage, read_entry, take_inventory
from stages.store.layout import ANSWERS
from stages.store.leftovers import (
    File,
    beyond,
    delete_files,
    links_to_artifacts,
    list_logs,
    list_transfers,
    list_unfinished,
    remove_empty_transfers,
    remove_unfinished_folders,
    sweep_drafts,
    unlink_dangling,
)
from stages.store.partial import KeptState, PartialStates
from stages.store.pins import Pins
from stages.store.posters import delete_empty_folders, list_posters
from stages.store.previews import list_previews, preview_folders, unlink_lost_previews
from stages.store.quantities import Limit


@dataclass(frozen=True)
class Limits:
    """How much stays.

    Attributes:
        programs: of the compiled programs.
        answers: of the answers of `doit preflight`.
        logs: of what the stages' processes printed.
        rest: of the artifacts that nobody needs and nobody has pinned; None: all.
    """

    programs: Limit
    answers: Limit
    logs: Limit
    rest: Limit | None = None


@dataclass(frozen=True)
class Outcome:
    """What a gc has deleted, or would delete.

    Attributes:
        inventory: of the store, before.
        kept: artifacts that had to stay.
        collected: artifacts, and what of them.
        freed: bytes of all else, by what it is.
        links: to videos that are gone, or would be, each with the artifact that it leads to.
        notes: what could not be done, and why.
    """

    inventory: Inventory
    kept: Set[ArtifactId]
    collected: Collected
    freed: dict[str, int]
    links: Mapping[Path, ArtifactId]
    notes: Collection[str]


def collect_garbage(
    root: Path,
    wanted: Set[ArtifactId],
    limits: Limits,
    uses: Uses,
    *,
    now: float,
    are_all_known: bool = True,
    is_dry_run: bool = False,
) -> Outcome:
    """Delete what need not be kept, beyond the limits.

    Args:
        root: the store's folder.
        wanted: what the present parameters need; it stays with all that it was made from.
        limits: how much of the rest stays.
        uses: who is at work.
        now: seconds since 1970.
        are_all_known: whether `wanted` is all that is wanted; if not, no artifact and no partial state is deleted.
        is_dry_run: whether nothing is deleted, and only said what would be.
    Raises:
        StoreError: a pin cannot be read; nothing was deleted.
        OSError: the store cannot be read, or not be locked.
    """
    pinned = [artifact for pin in Pins(root).read() for artifact in pin.artifacts]
    inventory, answers = take_inventory(root), take_answers(root)
    kept = inventory.ancestors([*wanted, *pinned, *uses.look().users])
    partials, limit = choose_partials(inventory, PartialStates(root).find_all(), kept, limits.rest, now=now)
    plan = plan_collection(inventory, kept, limit, now=now) if are_all_known else Plan()
    work = _Work(root, Inventory({**inventory.entries, **answers.entries}), uses, now, is_dry_run)
    collected = work.delete_artifacts(plan)
    if are_all_known:
        work.delete_partials(partials)
        work.delete_previews(kept)
    work.delete_posters(collected.payloads)
    work.delete_all_else(answers, limits)
    links = _dangling(root, collected.payloads) if is_dry_run else unlink_dangling(root)
    return Outcome(inventory, kept, collected, work.freed, links, work.notes)


def choose_partials(
    inventory: Inventory, partials: Sequence[KeptState], kept: Set[ArtifactId], limit: Limit | None, *, now: float
) -> tuple[list[KeptState], Limit | None]:
    """Partial states that go, and the limit that is left for artifacts.

    Those of nodes that nobody needs are part of the rest. Each holds in little room what took minutes or hours, so by a
    size they go last, the oldest first. Where the artifact is there, the state has no use at all.
    """
    rest = [partial for partial in partials if partial.artifact not in kept]
    entries = inventory.entries
    going = [each for each in rest if each.artifact in entries and entries[each.artifact].payload_bytes is not None]
    staying = sorted((each for each in rest if each not in going), key=lambda kept: kept.last_use)
    if limit is None:
        return going, None
    if limit.age_s is not None:
        oldest = now - limit.age_s
        return [*going, *(each for each in staying if each.last_use < oldest)], limit
    max_bytes = limit.size_bytes or 0
    while staying and sum(each.size_bytes for each in staying) > max_bytes:
        going.append(staying.pop(0))
    return going, Limit(size_bytes=max(max_bytes - sum(each.size_bytes for each in staying), 0))


@dataclass
class _Work:
    """Deletes one kind of things after the other, or only counts them, and adds up what was freed.

    `inventory` is of all artifacts, answers of `doit preflight` among them.
    """

    root: Path
    inventory: Inventory
    uses: Uses
    now: float
    is_dry_run: bool
    freed: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @cached_property
    def _collector(self) -> Collector:
        collector = Collector(self.root, self.inventory, self.uses)
        collector.mend()
        return collector

    def delete_artifacts(self, plan: Plan) -> Collected:
        if self.is_dry_run:
            sizes = {artifact: self.inventory.entries[artifact].payload_bytes or 0 for artifact in plan.payloads}
            return Collected(sizes, [*plan.records])
        done = self._collector.carry_out(plan)
        self.notes += [f"{artifact.title}: cannot be deleted ({why})" for artifact, why in done.failures.items()]
        return done

    def delete_partials(self, partials: Iterable[KeptState]) -> None:
        for partial in partials:
            try:
                if self.is_dry_run or self._collector.delete_partial(partial):
                    self._count("partial states", partial.size_bytes)
            except OSError as error:
                self.notes.append(f"{partial.path}: cannot be deleted ({error.strerror})")

    def delete_previews(self, kept: Set[ArtifactId]) -> None:
        """Those of nodes that need not be kept."""
        self.delete_files("previews", list_previews(self.root, but=kept))
        if not self.is_dry_run:
            unlink_lost_previews(self.root)

    def delete_posters(self, gone: Collection[ArtifactId]) -> None:
        """Those of videos that are not there, or are `gone` now."""
        entries = self.inventory.entries.values()
        there = [each for each in entries if each.payload_bytes is not None and each.artifact not in gone]
        self.delete_files(
            "pictures of videos",
            list_posters(self.root, but={each.manifest.digest for each in there if each.manifest is not None}),
        )
        if not self.is_dry_run:
            delete_empty_folders(self.root)

    def delete_all_else(self, answers: Inventory, limits: Limits) -> None:
        """What nobody reads in order to make a video."""
        self.delete_answers(answers, limits.answers)
        self.delete_programs(limits.programs)
        self.delete_files("logs", beyond(list_logs(self.root), limits.logs, now=self.now))
        self.delete_unfinished()
        self.sweep_drafts()

    def delete_answers(self, answers: Inventory, limit: Limit) -> None:
        done = self.delete_artifacts(plan_collection(answers, frozenset(), limit, now=self.now))
        self._count("answers of `doit preflight`", sum(done.payloads.values()))

    def delete_programs(self, limit: Limit) -> None:
        since_ns = 0 if limit.age_s is None else int((self.now - limit.age_s) * 1e9)
        try:
            found = trim_programs(self.root, limit.size_bytes, used_since_ns=since_ns, is_dry_run=self.is_dry_run)
        except StoreError as error:
            self.notes.append(f"compiled programs stay: {error}")
        except OSError as error:
            self.notes.append(f"compiled programs stay: {error.filename or self.root}: {error.strerror}")
        else:
            self._count("compiled programs", sum(found.values()))

    def delete_files(self, what: str, files: Sequence[File]) -> None:
        self._count(what, sum(file.size_bytes for file in files) if self.is_dry_run else delete_files(files))

    def delete_unfinished(self) -> None:
        entries = self.inventory.entries.values()
        folders = [self.root / each.artifact.stage / each.artifact.key for each in entries if not each.is_link]
        folders += preview_folders(self.root)
        self.delete_files("transfers that were never finished", list_transfers(self.root, now=self.now))
        self.delete_files("files that were never finished", list_unfinished(self.root, folders, now=self.now))
        if not self.is_dry_run:
            remove_empty_transfers(self.root)
            remove_unfinished_folders(self.root, now=self.now)

    def sweep_drafts(self) -> None:
        if not self.is_dry_run:
            self._count("drafts of runs that were killed", sweep_drafts(self.root))

    def _count(self, what: str, size_bytes: int) -> None:
        if size_bytes:
            self.freed[what] = self.freed.get(what, 0) + size_bytes


def take_answers(root: Path) -> Inventory:
    """The answers of `doit preflight`: artifacts of no video."""
    entries = map(read_entry, artifacts_of_stage(root / ANSWERS))
    return Inventory({entry.artifact: entry for entry in entries if entry is not None})


def _dangling(root: Path, going: Collection[ArtifactId]) -> dict[Path, ArtifactId]:
    """Links that would point to nothing."""
    links = sorted(links_to_artifacts(root).items())
    return {link: artifact for link, (artifact, payload) in links if artifact in going or not payload.exists()}
