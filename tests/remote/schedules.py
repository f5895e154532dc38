"""All orders in which actors can make their requests, as far as each is interrupted only so often."""

from collections.abc import Callable, Iterator, Sequence

from tests.remote.memory_bucket import Actor

Schedule = tuple[int, ...]  # the actor of each request


def explore(
    start: Callable[[], Sequence[Actor]], check: Callable[[Sequence[Actor]], None], *, num_switches: int
) -> int:
    """Run actors in all orders in which another than the last takes over at most so often while that could go on.

    Args:
        start: the actors, in a bucket of their own, before their first request.
        check: is called after each request.
        num_switches: of which orders are tried. Faults of such protocols mostly need one or two.
    Returns:
        How many orders that were.
    """
    waiting: list[tuple[Schedule, int]] = [((), 0)]
    number = 0
    while waiting:
        prefix, num_used = waiting.pop()
        number += 1
        taken = [*_run(start(), prefix, check)]
        for place in range(len(prefix), len(taken)):
            chosen, able = taken[place]
            last = taken[place - 1][0] if place else None
            for other in able - {chosen}:
                cost = num_used + (last in able and other != last)
                if cost <= num_switches:
                    waiting.append(((*(each for each, _ in taken[:place]), other), cost))
    return number


def _run(
    actors: Sequence[Actor], prefix: Schedule, check: Callable[[Sequence[Actor]], None]
) -> Iterator[tuple[int, set[int]]]:
    """Take this order, then each actor to its end; who made each request, and who could have."""
    place, last = 0, 0
    while able := {number for number, actor in enumerate(actors) if not actor.is_over}:
        chosen = prefix[place] if place < len(prefix) else last if last in able else min(able)
        actors[chosen].step()
        yield chosen, able
        check(actors)
        place, last = place + 1, chosen
