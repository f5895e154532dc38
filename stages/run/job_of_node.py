"""A node's job: what its program needs to make it, from the build that it belongs to."""

from typing import TYPE_CHECKING

from stages.keys import ArtifactId, Digest, Node
from stages.run.job import Job
from stages.run.next_steps import command_for

if TYPE_CHECKING:
    from stages.run.build import Build


def describe_job(build: "Build", node: Node, code: Digest, *, waits: bool) -> Job:
    """All that a node's program needs.

    Args:
        build: whose node it is.
        node: to be made.
        code: fingerprint of its program's code.
        waits: whether it waits for an accelerator that another process has.
    """
    graph, pipeline = build.graph, build.pipeline
    components = pipeline[node.stage].components if node.components else ()  # a file from elsewhere is made of nothing
    stage = pipeline[node.stage]
    return Job(
        node=node,
        parameters=stage.complete(node.parameters),
        program=build.program_of(node),
        makes=stage.makes,
        inputs={
            name: ArtifactId(producer.name, node.inputs[producer.name])
            for name, producer in pipeline.producers(stage).items()
            if producer.name in node.inputs  # a file from elsewhere is made of nothing
        },
        rank=pipeline.names.index(node.stage),
        components=components,
        checkpoint=graph.checkpoint_of(node),
        store=build.store.root,
        code=code,
        machine=build.machine.model_dump(),
        from_file=graph.files.get(node.key),
        preflight=command_for(graph.videos_of(node), build.overrides, "preflight"),
        videos=graph.videos_of(node),
        waits=waits,
    )
