"""An explanation in words, for 80 columns: per video its nodes, what becomes of them and why; then totals."""

import re
import textwrap
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from types import MappingProxyType

from stages.explain.code_changes import CODE
from stages.explain.explanation import LOWER_BOUND
from stages.explain.outcomes import INPUTS, Outcome
from stages.explain.plan import Explanation, Step
from stages.explain.reasons import COMPONENTS, KEY, STATE
from stages.history.expectation import Expectation
from stages.keys import FROM_FILE, JsonValue, Key, short
from stages.machine.printable import cut, printable
from stages.models.wording import name_some
from stages.store.quantities import show_bytes, show_seconds
from stages.store.verdict import NOT_PUSHED, Reason

_OUTCOMES: tuple[Outcome, ...] = ("run", "waits", "fetch", "remote", "fresh")
_QUIET: Collection[Outcome] = ("remote", "fresh")
_COLUMNS = 80
_INDENT = " " * 4
_MAX_VALUE = 200  # characters of a value
_LEAST_S = 0.1  # seconds that are shown as such
_NUM_AROUND = 3  # words that are shown beside those that differ
_WORDS = re.compile(r"\S+")
_MAX_COMPARED = 1000  # words that are matched with each other, which takes a second for some thousands
_STATES: Mapping[str, str] = MappingProxyType({
    "absent": "never made",
    "forgotten": "forgotten, by `doit forget` or because it was found damaged",
    "collected": "deleted by `doit gc`, and needed again",
    "remote": "on the remote store",
})  # fmt: skip


def describe(found: Explanation, *, shows_all: bool = False) -> Iterator[str]:
    """The lines. Videos of which nothing runs are named together, unless `shows_all`."""
    groups: dict[str, list[Step]] = {}
    for step in found.steps:
        first = next((video for video in step.videos if video in found.prompts), step.videos[0])
        groups.setdefault(first, []).append(step)
    busy = {video for step in found.steps if step.outcome not in _QUIET for video in step.videos}
    quiet = [] if shows_all else [video for video in found.prompts if video not in busy]
    for video in found.prompts:
        steps = groups.get(video, [])  # none where all that it needs stands at other videos
        if not steps or not (shows_all or any(step.outcome not in _QUIET for step in steps)):
            continue
        prompt = found.prompts[video]
        yield f'{video}: "{cut(printable(prompt), _COLUMNS - len(video) - 4)}"' if prompt else f"{video}:"
        for step in steps:
            yield from _describe_step(step, video)
    if found.ignored:
        yield f"left out by `doit ignore`: {name_some(found.ignored)}"
    if quiet:
        yield f"up to date: {name_some(quiet)}"
    yield from _sum_up(found)


def _describe_step(step: Step, video: str) -> Iterator[str]:
    cost = size = ""
    if step.outcome not in _QUIET:
        cost = "" if step.outcome == "fetch" else _say_seconds(step)
        size = "" if step.size_bytes is None else show_bytes(step.size_bytes)
    yield f"  {step.node.stage:<8} {step.outcome:<6} {cost:>18}  {size:>8}  {short(step.node.key)}".rstrip()
    others = [name for name in step.videos if name != video]
    lines = [say_reason(reason, step.node.stage) for reason in step.reasons if not _is_waited_for(reason, step)]
    if waited_for := [each.field.removeprefix(INPUTS) for each in step.reasons if _is_waited_for(each, step)]:
        lines.append(f"runs unless {' and '.join(waited_for)} comes out with the same bytes")
    if others and step.outcome not in _QUIET:
        lines.append(f"also for {name_some(others)}")
    for line in lines:
        yield from wrap(line, _INDENT)


def wrap(line: str, indent: str = "") -> list[str]:
    """A line as lines of 80 columns."""
    return textwrap.wrap(line, _COLUMNS, initial_indent=indent, subsequent_indent=f"{indent}  ", break_on_hyphens=False)


def _is_waited_for(reason: Reason, step: Step) -> bool:
    """Whether a reason is that something is made again on which it depends whether this is."""
    return step.outcome == "waits" and reason.field.startswith(INPUTS) and reason.now is None


def _say_seconds(step: Step) -> str:
    seconds = step.expectation.seconds
    if seconds is None:
        return "time unknown"
    if seconds < _LEAST_S:
        return f"under {show_seconds(_LEAST_S)}"
    return f"{'at least' if step.expectation.source == LOWER_BOUND else 'about'} {show_seconds(seconds)}"


def say_reason(reason: Reason, stage: str) -> str:
    """One reason of a node of a stage, as a line."""
    field, before, now = reason.field, reason.before, reason.now
    kind, _, name = field.partition(".")
    if not name:
        return _say_state(reason, stage)
    if f"{kind}." == CODE:
        return f"{name} {'is new' if before is None else 'is gone' if now is None else 'changed'}"
    if f"{kind}." == INPUTS:
        return f"{name} {'is made again' if now is None else 'has other bytes now'}"
    if f"{kind}." == KEY:
        return f"made from another {name}" if before and now else f"made from {'' if now else 'no '}{name}"
    if f"{kind}." == COMPONENTS:
        return f"component {name}: {_identity(before)} -> {_identity(now)}"
    return _say_parameter(name, before, now)


def _say_state(reason: Reason, stage: str) -> str:
    """What is wrong with the artifact that is there, or why there is none."""
    if reason.field == NOT_PUSHED:
        return "known from the remote store, without its payload"
    if reason.field == STATE:
        return "removed, after it was made" if reason.before and reason.now == "absent" else _STATES[str(reason.now)]
    return f"the code of {stage} changed" if reason.field == "code" else f"damaged: {_say_damage(reason)}"


def _say_damage(reason: Reason) -> str:
    if reason.field == "payload":
        return "the file is not there" if reason.now is None else f"{reason.now} bytes, and there were {reason.before}"
    if reason.field == "digest":
        return "the file cannot be read" if reason.now is None else "the file was edited, or has other bytes"
    return "its manifest cannot be read"


def _say_parameter(name: str, before: JsonValue, now: JsonValue) -> str:
    if name == FROM_FILE:
        if before is None:
            return f"{name}: a file takes its place"
        return f"{name}: {'another file' if now is not None else 'computed again, from no file'}"
    if isinstance(before, str) and isinstance(now, str) and (_WORDS.search(before) and len(_WORDS.findall(now)) > 1):
        return f"{name}: {mark_words(printable(before), printable(now))}"
    return f"{name} {_value(before)} -> {_value(now)}"


def mark_words(before: str, now: str) -> str:
    """The words of a text that differ, as "[red -> blue]", with a few of those around them."""
    old, new = _WORDS.findall(before), _WORDS.findall(now)
    parts: list[str] = []
    blocks = _match_words(old, new)
    for place, (kind, begin, end, new_begin, new_end) in enumerate(blocks):
        if kind != "equal":
            parts.append(f"[{' '.join(old[begin:end]) or '+'} -> {' '.join(new[new_begin:new_end]) or '-'}]")
            continue
        words = old[begin:end]
        head = [] if place == 0 else words[:_NUM_AROUND]
        tail = [] if place == len(blocks) - 1 else words[-_NUM_AROUND:]
        is_cut = len(words) > len(head) + len(tail)
        parts += [*head, "…", *tail] if is_cut else words
    return cut(" ".join(parts), _MAX_VALUE * 2)


def _match_words(old: Sequence[str], new: Sequence[str]) -> Sequence[tuple[str, int, int, int, int]]:
    """What of two texts is equal, and what takes whose place, as `SequenceMatcher` says it; in long ones one place."""
    if max(len(old), len(new)) <= _MAX_COMPARED:
        return SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    start = _count_equal(old, new)
    end = _count_equal(old[start:][::-1], new[start:][::-1])
    last, new_last = len(old) - end, len(new) - end
    blocks = [
        ("equal", 0, start, 0, start),
        ("replace", start, last, start, new_last),
        ("equal", last, len(old), new_last, len(new)),
    ]
    return [block for block in blocks if block[1] < block[2] or block[3] < block[4]]


def _count_equal(one: Sequence[str], other: Sequence[str]) -> int:
    """How many words are equal from the first on."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (word, its) in pairs if word != its), min(len(one), len(other)))


def _value(value: JsonValue) -> str:
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return str(value).lower()
    return cut(f'"{printable(value)}"' if isinstance(value, str) else printable(str(value)), _MAX_VALUE)


def _identity(identity: JsonValue) -> str:
    """What identifies a component, short: of a file's digest the begin, of a hub id all."""
    if identity is None:
        return "none"
    text = str(identity)
    return printable(short(Key(text)) if re.fullmatch(r"[0-9a-f]{32}", text) else text)


def _sum_up(found: Explanation) -> Iterator[str]:
    running, waiting, fetched, remote, fresh = (found.of_outcome(each) for each in _OUTCOMES)
    if running or waiting or fetched:
        counts = (
            (len(running), "to run"),
            (len(waiting), "waiting"),
            (len(fetched), "to fetch"),
            (len(remote), "on the remote store"),
            (len(fresh), "fresh"),
        )
        yield ""
        yield ", ".join(f"{number} {what}" for number, what in counts if number)
        if running:
            yield from wrap(f"to run: {_say_cost(running)}")
        if waiting:
            yield from wrap(f"{'with' if running else 'if'} those that wait: {_say_cost([*running, *waiting])}")
        if fetched:
            yield f"to fetch: {show_bytes(sum(step.size_bytes or 0 for step in fetched))}"
    else:
        yield "nothing to run" if fresh or remote else "nothing to do"
        if found.links:
            yield f"{'the link' if len(found.links) == 1 else 'links'} to be made: {name_some(found.links)}"
    if found.num_saved:
        noun = "artifact" if found.num_saved == 1 else "artifacts"
        yield f"saved by the store: {show_seconds(found.saved_s)} ({found.num_saved} {noun})"


def say_time(expectations: Sequence[Expectation]) -> str:
    """What nodes take together, one after another; "" if that is not known of all of them."""
    return "" if any(each.seconds is None for each in expectations) else _say_seconds_of(expectations)


def _say_seconds_of(expectations: Sequence[Expectation]) -> str:
    seconds = sum(each.seconds or 0.0 for each in expectations)
    is_bound = any(each.source == LOWER_BOUND for each in expectations)
    return f"{'at least' if is_bound else 'about'} {show_seconds(seconds)}"


def _say_cost(steps: Sequence[Step]) -> str:
    """What steps take together, one after another."""
    known = [step for step in steps if step.expectation.seconds is not None]
    chip_s = sum((step.expectation.seconds or 0.0) * step.expectation.num_chips for step in known)
    parts = []
    if known:
        parts.append(_say_seconds_of([step.expectation for step in known]))
        parts += [f"{show_seconds(chip_s)} of chips"] if chip_s else []
    if unknown := len(steps) - len(known):
        parts.append(f"{'and ' if known else ''}an unknown time for {unknown} without an earlier run to go by")
    sizes = [step.size_bytes for step in steps if step.size_bytes is not None]
    parts += [f"{show_bytes(sum(sizes))} written{' and more' if len(sizes) < len(steps) else ''}"] if sizes else []
    return ", ".join(parts)
