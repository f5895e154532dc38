"""Which program is started ahead."""

from stages.keys import Node
from stages.pipeline.stage import ACCELERATOR, HOST, Program
from stages.run.lookahead import Lookahead

STAGES = ("encode", "denoise", "decode", "export")


class Store:
    """Says which nodes are due, and counts how often it was asked."""

    def __init__(self, *due: Node) -> None:
        self._due = due
        self.asked: list[str] = []

    def __call__(self, node: Node) -> bool:
        self.asked.append(node.title)
        return node in self._due


def program_of(node: Node) -> Program:
    return Program(f"stages.{node.stage}", HOST)


def nodes_of(num_videos: int) -> list[Node]:
    """Stage by stage, as they are made."""
    return [Node(stage, {"video": video}, {}, {}) for stage in STAGES for video in range(num_videos)]


def look_ahead(nodes: list[Node], store: Store, selected: list[Node] | None = None) -> Lookahead:
    lookahead = Lookahead(nodes, program_of, store)
    lookahead.select(["demo", *(node.title for node in (nodes if selected is None else selected))])
    return lookahead


def name_after(lookahead: Lookahead, node: Node) -> str | None:
    program = lookahead.after(node)
    return program and program.name


def test_the_next_program_is_that_of_the_next_stage_that_has_something_to_make():
    nodes = encode, denoise, decode, export = nodes_of(1)
    assert name_after(look_ahead(nodes, Store(*nodes)), encode) == "denoise"
    assert name_after(look_ahead(nodes, Store(encode, export)), encode) == "export"
    assert name_after(look_ahead(nodes, Store(denoise, decode)), denoise) == "decode"


def test_where_nothing_more_is_due_nothing_is_started():
    nodes = encode, _, _, export = nodes_of(1)
    assert look_ahead(nodes, Store(encode)).after(encode) is None
    assert look_ahead(nodes, Store(*nodes)).after(export) is None


def test_only_what_the_run_has_selected_counts():
    nodes = encode, denoise, *_ = nodes_of(1)
    assert look_ahead(nodes, Store(*nodes), [encode]).after(encode) is None
    assert look_ahead(nodes, Store(*nodes), [encode, denoise]).after(denoise) is None


def test_a_run_that_has_selected_nothing_starts_nothing_ahead():
    nodes = nodes_of(1)
    assert Lookahead(nodes, program_of, Store(*nodes)).after(nodes[0]) is None


def test_each_node_is_asked_for_once_however_many_videos_there_are():
    nodes = nodes_of(50)
    store = Store(*nodes[:50], nodes[-1])
    lookahead = look_ahead(nodes, store)
    assert [name_after(lookahead, node) for node in nodes[:50]] == ["export"] * 50
    assert store.asked == [node.title for node in nodes[50:]]


def accelerated(node: Node) -> Program:
    return Program(f"stages.{node.stage}", ACCELERATOR if node.stage in ("denoise", "decode") else HOST)


def needs_after(due: list[Node], nodes: list[Node], completed: list[Node]) -> list[bool]:
    """Whether an accelerator is needed after each of the nodes that are completed."""
    lookahead = Lookahead(nodes, accelerated, Store(*due))
    lookahead.select([node.title for node in nodes])
    return [lookahead.complete(node) for node in completed]


def test_an_accelerator_is_needed_until_the_last_due_node_that_is_made_on_one_is_complete():
    nodes = encode, denoise, decode, export = nodes_of(1)
    assert needs_after(nodes, nodes, nodes) == [True, True, False, False]
    assert needs_after([encode, denoise, export], nodes, nodes) == [True, False, False, False]
    assert needs_after([encode, export], nodes, [encode, export]) == [False, False]
    assert needs_after([denoise, decode], nodes, [denoise, decode]) == [True, False]


def test_with_several_threads_an_accelerator_is_needed_for_whatever_is_not_complete():
    nodes = nodes_of(2)
    decodes, exports = nodes[4:6], nodes[6:]
    assert needs_after([*decodes, *exports], nodes, [decodes[1], exports[1], decodes[0]]) == [True, True, False]


def test_whether_an_accelerator_is_needed_asks_for_each_node_once_however_many_videos_there_are():
    nodes = nodes_of(50)
    store = Store(nodes[149])
    lookahead = Lookahead(nodes, accelerated, store)
    lookahead.select([node.title for node in nodes])
    assert lookahead.complete(nodes[0])
    assert store.asked == [node.title for node in nodes[50:150]]
    for node in nodes[1:50]:
        assert lookahead.complete(node)
    assert len(store.asked) == 100 + 49
