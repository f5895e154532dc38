"""Whether the weights of a component are whole and fit into memory, by the headers of their files.

The memory is that of the host: of an accelerator, its own process alone knows how much there is.
"""

from stages.machine.device_files import find_device_files
from stages.machine.host_memory import host_memory_bytes
from stages.models.tensor_names import explain_prefix, find_prefix
from stages.models.weight_headers import MOST_GROWTH, explain_memory
from stages.pipeline.component import Component
from stages.pipeline.stage import HOST
from stages.run.checks import Chain


def find_weight_faults(
    chain: Chain,
    component: Component,
    device: str,
    *,
    parameter: str,
    dtype: str,
    anchors: tuple[str, ...],
    prefix: str = "",
    unread: tuple[str, ...] = (),
) -> list[str]:
    """What is wrong with the weights of a component.

    Of those that are not downloaded yet, the headers are read where the memory may be too small for files of their
    sizes.

    Args:
        chain: the video.
        component: whose weights they are.
        device: HOST or ACCELERATOR: where they are to be.
        parameter: that chooses the dtype, for the message.
        dtype: in which they are held.
        anchors: names of which the model has one: with another beginning, another tool has written the files.
        prefix: of the names of those that are read.
        unread: what names of those that are not read begin with.
    """
    is_held_here = device == HOST or is_on_host(str(chain.machine["platform"]))
    headers = chain.headers(component)
    if headers is None and is_held_here:
        most_bytes = MOST_GROWTH[dtype] * chain.count_listed_bytes(component)
        headers = chain.remote_headers(component) if most_bytes > host_memory_bytes() else None
    if headers is None:
        return []
    if headers.faults:
        return list(headers.faults)
    files = headers.files
    if not set(anchors) & headers.shapes.keys() and (found := find_prefix({anchors[0]}, headers.shapes)):
        return [explain_prefix(found, anchors[0], str(files.folder))]
    if not is_held_here:
        return []
    num_bytes = headers.count_bytes(dtype, lambda name: name.startswith(prefix) and not name.startswith(unread))
    return explain_memory(num_bytes, host_memory_bytes(), files=files, parameter=parameter, dtype=dtype)


def is_on_host(platform: str) -> bool:
    """Whether a platform of machine.toml computes in the host's memory."""
    return platform == "cpu" or (platform == "auto" and not find_device_files())
