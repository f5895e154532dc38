"""Reasons of the store in words: why a node is to be made."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from stages.store.verdict import NOT_PUSHED, Reason, Verdict

_INPUTS = "inputs."
_ADVICE = " Run `doit`: it is made again."  # of the store, to others than a run
_STATES: Mapping[str, str] = MappingProxyType({"collected": "collected by `doit gc`", "remote": "on the remote store"})


def explain_verdict(verdict: Verdict, *, payload: Path, program: str) -> str:
    """A sentence without a full stop of its own.

    Args:
        verdict: of a node.
        payload: the file that it makes.
        program: name of what makes it.
    Returns:
        All reasons, or the state where there are none.
    """
    reasons = "; ".join(_explain(reason, payload, program).rstrip(".") for reason in verdict.reasons)
    return reasons or _STATES.get(verdict.state, verdict.state)


def _explain(reason: Reason, payload: Path, program: str) -> str:
    if reason.field == NOT_PUSHED:
        return "known from the remote store, without its payload"
    if reason.field == "code":
        return f"the code of {program} has changed"
    if reason.field.startswith(_INPUTS):
        stage = reason.field.removeprefix(_INPUTS)
        return f"{stage} is to be made" if reason.now is None else f"{stage} has other bytes now"
    if reason.field == "payload":
        what = f"has {reason.now} bytes, the manifest says {reason.before}"
        return f"{payload}: {'is not there' if reason.now is None else what}"
    if reason.field == "digest":
        what = f"xxh3 is {reason.now}, the manifest says {reason.before}; the file was edited or damaged"
        return f"{payload}: {'cannot be read' if reason.now is None else what}"
    return str(reason.now).removesuffix(_ADVICE)
