"""Which files of a component its stage reads: pure, from the names in its folder or in a commit of the hub.

What else lies there has no effect on this choice, nor, by it, on keys and results. What is said of weights that are not
there is in missing_weights.py. Source of the choice: docs/decisions/0020-components.md.
"""

from collections.abc import Callable, Collection, Mapping, Set
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from stages.errors import CheckpointError
from stages.machine.json_files import decode_json, parse_json
from stages.models.missing_weights import explain_missing_weights
from stages.models.weight_names import index_names, single_name
from stages.models.wording import COPY_AGAIN, name_some, quote
from stages.pipeline.component import Component


@dataclass(frozen=True)
class Picked:
    """The files of a component that its stage reads, by name.

    Attributes:
        plain: the settings, and what a tokenizer is made of.
        index: says which of several files of weights holds what; "" where there is one, or none.
        weights: the files of weights.
        variant: whose weights they are; "" also where a variant was asked for that the component does not have.
    """

    plain: tuple[str, ...]
    index: str = ""
    weights: tuple[str, ...] = ()
    variant: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, sorted."""
        return tuple(sorted({*self.plain, *self.weights, *filter(None, [self.index])}))


@dataclass(frozen=True)
class ComponentFiles:
    """The files of a component that its stage reads, on this machine.

    Attributes:
        component: as the stage declares it.
        folder: where they are, among others.
        picked: their names.
    """

    component: Component
    folder: Path
    picked: Picked

    @property
    def settings(self) -> Path:
        """The file of its settings."""
        return self.folder / self.component.settings


def pick_files(
    component: Component,
    names: Collection[str],
    *,
    variant: str,
    read_shards: Callable[[str], Collection[str]],
    where: str,
    fix: str,
) -> Picked:
    """Pick the files that the stage reads.

    Args:
        component: as the stage declares it.
        names: of all files that lie there.
        variant: of the weights, such as "fp16", "" for none. A component that has no weights of it is taken without,
            as diffusers does.
        read_shards: gives the names of the files that an index names.
        where: the component's place, for messages.
        fix: what to do where a file is missing.
    Raises:
        CheckpointError: something is missing; says what lies there and what would be read.
    """
    plain = _pick_plain(component, names, f"There is {name_some(sorted(names))}. {fix}", where)
    if not component.weights:
        return Picked(plain)
    stem = component.weights
    for each in dict.fromkeys((variant, "")):
        for index in index_names(stem, each):
            if index in names:
                shards = tuple(sorted(read_shards(index)))
                _check_shards(index, shards, names, where, fix)
                return Picked(plain, index, shards, each)
        single = single_name(stem, each)
        if single in names:
            return Picked(plain, weights=(single,), variant=each)
    raise CheckpointError(explain_missing_weights(stem, variant, names, where, fix))


def find_undecided(component: Component, names: Collection[str]) -> tuple[str, ...]:
    """Files without weights that are not among `names`, and with which others would be picked.

    Args:
        component: as the stage declares it.
        names: of files that are enough to pick from, but may not be all.
    """
    before = takewhile(lambda each: not all(name in names for name in each), component.alternatives)
    preferred = (name for each in before for name in each)
    return tuple(name for name in (*component.optional, *preferred) if name not in names)


def parse_index(content: bytes, where: str) -> Mapping[str, Set[str]]:
    """The names of the tensors of each file that an index names.

    Args:
        content: of the index.
        where: its place, for messages.
    Raises:
        CheckpointError: it is not JSON, has no map of names, or names a file in another folder.
    """
    try:
        values = parse_json(decode_json(content))
    except ValueError as error:
        raise CheckpointError(f"{where}: not a readable weight index ({error}). {COPY_AGAIN}") from error
    weight_map = values.get("weight_map") if isinstance(values, dict) else None
    if not (isinstance(weight_map, dict) and weight_map and all(isinstance(v, str) for v in weight_map.values())):
        raise CheckpointError(f"{where}: its `weight_map` must name a file for each tensor. {COPY_AGAIN}")
    shards: dict[str, set[str]] = {}
    for tensor, shard in weight_map.items():
        shards.setdefault(shard, set()).add(tensor)
    if outside := [shard for shard in shards if "/" in shard or "\\" in shard or shard in ("", ".", "..")]:
        raise CheckpointError(f"{where}: names {quote(repr(outside[0]))}, outside its folder. {COPY_AGAIN}")
    return shards


def _pick_plain(component: Component, names: Collection[str], fix: str, where: str) -> tuple[str, ...]:
    if component.settings not in names:
        raise CheckpointError(f"{where}: holds no {component.settings}. {fix}")
    optional = [name for name in component.optional if name in names]
    chosen = next((each for each in component.alternatives if all(name in names for name in each)), None)
    if component.alternatives and chosen is None:
        wanted = ", nor ".join(" with ".join(each) for each in component.alternatives)
        raise CheckpointError(f"{where}: holds no {wanted}. {fix}")
    return (component.settings, *optional, *(chosen or ()))


def _check_shards(index: str, shards: Collection[str], names: Collection[str], where: str, fix: str) -> None:
    missing = [shard for shard in shards if shard not in names]
    if missing:
        raise CheckpointError(
            f"{where}: {index} names {len(shards)} files, of which {len(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not there: {name_some(missing)}. {fix}"
        )
