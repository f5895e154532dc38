"""Why a node runs, as data: what differs from the nearest earlier artifact, or what the store says of its own.

Fields, besides those of a verdict (stages/store/verdict.py): "<stage>.<parameter>", "components.<name>", "key.<stage>"
(what is read is another node, by their keys), "code.<file>", and "state" ("absent", "forgotten", "collected" or
"remote"). Of "inputs.<stage>", `now` is None while what is read is yet to be made. Sentences are made of them in
wording.py.
"""

from collections.abc import Iterator, Mapping, Sequence

from stages.explain.outcomes import INPUTS
from stages.keys import FROM_FILE, JsonValue, Node
from stages.pipeline.stage import Stage
from stages.store.manifest import Manifest
from stages.store.verdict import Reason, Verdict

COMPONENTS, KEY, STATE, CODE = "components.", "key.", "state", "code"


def why_absent(node: Node, earlier: Manifest | None, stage: Stage, *, was_made: bool = False) -> tuple[Reason, ...]:
    """What differs from an earlier artifact; without one, that the node has never been made, or that it was removed."""
    if earlier is None:
        return (Reason(STATE, "fresh" if was_made else None, "absent"),)
    return tuple(list_differences(earlier.node, node, stage))


def why_not_fresh(
    verdict: Verdict,
    changing: Sequence[str],
    inputs: Mapping[str, JsonValue],
    changed_files: Sequence[Reason],
    *,
    waits: bool = False,
) -> tuple[Reason, ...]:
    """The reasons of an artifact that is there.

    Args:
        verdict: the store's word on it.
        changing: stages of what it reads and what is made again, or perhaps.
        inputs: by stage, the digest of what it was made from.
        changed_files: of its program, where they are known.
        waits: whether what it reads decides; of a node that runs in any case, that it changes is no reason.
    """
    reasons: list[Reason] = []
    waited_for = {f"{INPUTS}{stage}" for stage in changing}
    if verdict.state in ("forgotten", "remote") or (
        verdict.state == "collected" and not changing and not verdict.reasons
    ):
        reasons.append(Reason(STATE, "fresh", verdict.state))
    for reason in verdict.reasons:
        if reason.field == CODE and changed_files:
            reasons += changed_files
        elif reason.field not in waited_for:
            reasons.append(reason)
    if waits:
        reasons += [Reason(f"{INPUTS}{stage}", inputs.get(stage), None) for stage in changing]
    return tuple(reasons)


def list_differences(before: Node, now: Node, stage: Stage) -> Iterator[Reason]:
    """The parameters, components and inputs in which two nodes of one stage differ."""
    if FROM_FILE in before.parameters or FROM_FILE in now.parameters:
        field = f"{now.stage}.{FROM_FILE}"
        yield Reason(field, before.parameters.get(FROM_FILE), now.parameters.get(FROM_FILE))
        return
    old, new = stage.complete(before.parameters), stage.complete(now.parameters)
    for name in (*new, *(name for name in old if name not in new)):
        was, value = old.get(name), new.get(name)
        if was != value or type(was) is not type(value):  # 1 is not 1.0, nor true
            yield Reason(f"{now.stage}.{name}", was, value)
    for name in sorted({*before.components, *now.components}):
        if before.components.get(name) != now.components.get(name):
            yield Reason(f"{COMPONENTS}{name}", before.components.get(name), now.components.get(name))
    for producer in sorted({*before.inputs, *now.inputs}):
        if before.inputs.get(producer) != now.inputs.get(producer):
            yield Reason(f"{KEY}{producer}", before.inputs.get(producer), now.inputs.get(producer))
