"""Inventories of stores that are not there, and artifacts of such that are."""

import json
import os

from stages.keys import ArtifactId, Key, Node
from stages.store.artifacts import Store
from stages.store.inventory import Inventory, take_inventory
from stages.store.manifest import RUN
from tests.builders import build_node, publish

NOW = 1_800_000_000.0
DAY = 86_400.0


def build_video(seed: int = 1, fps: int = 8, prompt: str = "A circle.") -> dict[str, Node]:
    """The nodes of a video, by stage; with another seed it shares the first, with another fps all but the last."""
    encode = build_node("encode", prompt=prompt)
    denoise = build_node("denoise", inputs={"encode": encode.key}, seed=seed)
    decode = build_node("decode", inputs={"denoise": denoise.key})
    export = build_node("export", inputs={"decode": decode.key}, fps=fps)
    return {node.stage: node for node in (encode, denoise, decode, export)}


SIZES = {"encode": 1000, "denoise": 100, "decode": 100_000, "export": 500}
SECONDS = {"encode": 10.0, "denoise": 1000.0, "decode": 50.0, "export": 2.0}


def fill(store: Store, *videos: dict[str, Node], age_s: float = 0.0) -> Inventory:
    """Publish all nodes of videos, with sizes and costs like those of the real model, used `age_s` before NOW."""
    for nodes in videos:
        for node in nodes.values():
            if store.manifest(node.artifact) is None:
                publish(store, node, node.key.encode() * (SIZES[node.stage] // len(node.key)))
                set_run(store, node, wall_s={node.stage: SECONDS[node.stage]})
        for node in nodes.values():  # publishing a later one is a use of an earlier one
            set_age(store, node, age_s)
    return take_inventory(store.root)


def set_run(store: Store, node: Node, **run: object) -> None:
    """Let an artifact's run.json say this."""
    (store.folder(node.artifact) / RUN).write_text(json.dumps(run))


def set_age(store: Store, node: Node, age_s: float) -> None:
    """Let an artifact have been used so many seconds before NOW."""
    os.utime(store.folder(node.artifact) / RUN, (NOW - age_s, NOW - age_s))


def ids(nodes: dict[str, Node], *stages: str) -> tuple[ArtifactId, ...]:
    """Artifacts of a video; of all stages if none is named."""
    return tuple(nodes[stage].artifact for stage in stages or nodes)


def key(digit: str) -> Key:
    """One of which nothing but its digits matters."""
    return Key(digit * 32)
