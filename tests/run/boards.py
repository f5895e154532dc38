"""Boards of runs that never were, for tests of what is drawn and said of them."""

from stages.keys import Node
from stages.run.board import Board, Ending
from stages.run.plan import Plan, PlannedNode, Reused

STAGES = ("encode", "denoise", "decode", "export")
ENCODE = Node("encode", {"prompt": "a"}, {}, {})
DENOISES = [Node("denoise", {"seed": seed}, {}, {}) for seed in range(3)]
DECODES = [Node("decode", {"tile_size": size}, {}, {}) for size in (128, 256)]  # which are there
EXPORT = Node("export", {"fps": 8}, {}, {})
ALL = (ENCODE, *DENOISES, EXPORT)


def phase(name: str) -> dict[str, object]:
    return {"event": "phase", "name": name}


def step(done: int, total: int = 20) -> dict[str, object]:
    return {"event": "progress", "done": done, "total": total, "unit": "step"}


def loaded(done: int, total: int = 600) -> dict[str, object]:
    return {"event": "progress", "done": done, "total": total, "unit": "MiB"}


def planned(*, expected_s: float | None = 60.0, num_at_once: int = 1) -> Board:
    """A run of one encode, three denoises and an export, which begins at 0."""
    board = Board(0.0, num_at_once=num_at_once)
    nodes = {node.title: PlannedNode(node.stage, node.stage, expected_s) for node in ALL}
    reused = zip(DECODES, (Reused(90.0, 2_000_000), Reused(None, 500_000)), strict=True)
    board.plan = Plan(STAGES, nodes, {node.title: each for node, each in reused})
    return board


def make(board: Board, node: Node, begun: float, ended: float, ending: Ending = Ending.MADE) -> None:
    board.begin(node, ("demo",), begun)
    board.observe(node.title, phase("starting"), begun)
    board.end(node.title, ending, ended)
