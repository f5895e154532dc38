"""What the runs of a fleet leave on a remote store when they are killed: claims, and states of what is not finished.

These go without the marks of collector.py, because no artifact depends on them: of a claim that is gone its holder
puts another one (claims.py), and who finds no state begins anew.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from stages.keys import ArtifactId, Key
from stages.remote.bucket import Bucket, StoredObject
from stages.remote.collection import Rules
from stages.remote.collector import Collected, delete_objects
from stages.remote.inventory import Inventory
from stages.remote.layout import CLAIM_OBJECT, CLAIMS, PARTIAL, PARTIAL_OBJECT


@dataclass(frozen=True)
class Abandoned:
    """What is of no use.

    Attributes:
        claims: of runs that have ended.
        states: of artifacts that are finished, or that nobody has gone on with for as long as is asked for.
        rest_bytes: of states that stay, and that the present parameters do not need.
    """

    claims: tuple[StoredObject, ...] = ()
    states: Mapping[ArtifactId, StoredObject] = field(default_factory=dict)
    rest_bytes: int = 0


def collect_abandoned(bucket: Bucket, rules: Rules, collected: Collected, *, is_dry_run: bool = False) -> Abandoned:
    """Delete what is of no use, by the rules and the time by which artifacts were collected. Raises RemoteError."""
    found = _find_abandoned(bucket, rules, collected)
    if is_dry_run:
        return found
    now = {each.name: each.modified for each in bucket.list(CLAIMS)} if found.claims else {}
    unmoved = tuple(claim for claim in found.claims if now.get(claim.name) == claim.modified)  # others were taken over
    delete_objects(bucket, [each.name for each in (*unmoved, *found.states.values())])
    return replace(found, claims=unmoved)


def _find_abandoned(bucket: Bucket, rules: Rules, collected: Collected) -> Abandoned:
    oldest = collected.now - rules.grace_s
    # A run claims before it reads a state, so states are listed first: whoever uses one of them is seen by his claim.
    states = dict(_by_node(bucket.list(PARTIAL), PARTIAL_OBJECT))
    claims = [*_by_node(bucket.list(CLAIMS), CLAIM_OBJECT)]
    being_made = {artifact for artifact, claim in claims if claim.modified >= oldest}
    finished = _find_finished(collected.inventory, rules)
    going, rest_bytes = {}, 0
    for artifact, state in states.items():
        is_rest = artifact not in rules.wanted
        is_old = is_rest and rules.keep_s is not None and state.modified < collected.now - rules.keep_s
        if artifact not in being_made and state.modified < oldest and (artifact in finished or is_old):
            going[artifact] = state
        elif is_rest:
            rest_bytes += state.size_bytes
    return Abandoned(tuple(claim for _, claim in claims if claim.modified < oldest), going, rest_bytes)


def _find_finished(inventory: Inventory, rules: Rules) -> set[ArtifactId]:
    """Artifacts that are there with their payload; of what is wanted, those made by the code of which it is."""
    finished = set()
    for (artifact, _), item in inventory.items.items():
        codes = rules.wanted.get(artifact)
        if item.whole is not None and (codes is None or item.whole.entry.manifest.code in codes):
            finished.add(artifact)
    return finished


def _by_node(objects: Iterable[StoredObject], pattern: re.Pattern[str]) -> Iterator[tuple[ArtifactId, StoredObject]]:
    """Each object of this kind with the node that it is about."""
    for each in objects:
        if (parts := pattern.fullmatch(each.name)) is not None:
            yield ArtifactId(parts["stage"], Key(parts["key"])), each
