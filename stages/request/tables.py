"""The tables of parameters that belong to no stage: [model], which weights, and [machine], on what it runs.

Those of the stages are in stages/pipeline; where values come from is in params.py.
"""

import re
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, create_model

from stages.errors import MeshError
from stages.machine.mesh_layout import AUTO, parse_layout
from stages.models.checkpoint import Checkpoint
from stages.models.places import resolve
from stages.pipeline.rules import Folder, Name, Table, Text
from stages.remote.address import read_address
from stages.store.quantities import parse_limit

# Host 0's address and port, and which of how many this host is.
_HOSTS = re.compile(r"auto|one|\S+:[0-9]{1,5} (?P<index>[0-9]{1,5})/(?P<count>[0-9]{1,5})")
_RAY_ADDRESS = re.compile(r"auto|[A-Za-z0-9.-]+:[0-9]{1,5}|\[[0-9A-Fa-f:.]+\]:[0-9]{1,5}")
_NUMBER = re.compile(r"[0-9]{1,7}")
_MAX_STEPS = 1_000_000  # between two saved states of a denoise
NEVER = "never"
RAY = "ray"  # what makes nodes
_COMPONENT = "components."


def _hosts(value: str) -> str:
    match = _HOSTS.fullmatch(value)
    if match is None or (match["index"] and int(match["index"]) >= int(match["count"])):
        raise ValueError(
            'must be "auto", "one", or "<address>:<port> <index>/<count>" with the address of host 0, such as '
            '"10.0.0.2:8482 0/4" on the first of four.'
        )
    return value


def _mesh(value: str) -> str:
    if value != AUTO:
        try:
            parse_layout(value)
        except MeshError as error:
            raise ValueError(str(error)) from error
    return value


def _steps(value: Any) -> str:
    """As text, which all settings of a machine are."""
    number = int(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value
    if value == AUTO:
        return AUTO
    if isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= _MAX_STEPS:
        return str(number)
    raise ValueError(f'must be "auto" or a number of steps, 1 to {_MAX_STEPS}.')


def _steps_or_never(value: Any) -> str:
    if value == NEVER:
        return NEVER
    try:
        return _steps(value)
    except ValueError:
        raise ValueError(f'must be "auto", "never" or a number of steps, 1 to {_MAX_STEPS}.') from None


def _ray_address(value: str) -> str:
    if not _RAY_ADDRESS.fullmatch(value):
        raise ValueError('must be "auto", or "<host>:<port>" of the cluster\'s head, such as "10.0.0.2:6379".')
    return value


def _address(value: str) -> str:
    if value:
        read_address(value)
    return value


def _size(value: str) -> str:
    if value and parse_limit(value).size_bytes is None:
        raise ValueError("must be a size, such as 2GB or 500MB, or empty for any.")
    return value


class ModelParams(Table):
    """Which weights. `checkpoint` is a folder, a hub id or `builtin:<name>`; `revision` is for hub ids.

    `variant` is that of the weights' files. Each of a project's components has a field of its own, `components.<name>`,
    where it is taken from; the table itself is empty.

    Attributes:
        checkpoint: a folder, a Hugging Face hub id, or `builtin:<name>` for one that ships with this package.
        revision: of a hub id: branch, tag or commit; "" is the branch `main`.
        variant: of the weights' files, such as "fp16"; a component that has none of it is taken without.
        components: where a single component is taken from: a checkpoint that has it, its own folder, or a hub id,
            which `@revision` may follow; "" for `checkpoint`.
    """

    checkpoint: Name = "builtin:shapes"
    revision: Text = ""
    variant: Text = ""
    components: Annotated[dict[str, str], Field(max_length=0)] = {}  # noqa: RUF012 (pydantic copies it)

    @property
    def elsewhere(self) -> Mapping[str, str]:
        """Where single components are taken from, by their names."""
        fields = [name for name in type(self).model_fields if name.startswith(_COMPONENT)]
        return {name.removeprefix(_COMPONENT): getattr(self, name) for name in fields if getattr(self, name)}

    def resolve(self, root: Path, typed: Collection[str] = ()) -> Checkpoint:
        """Find the checkpoint; `typed` are the parameters that the command line names. Raises CheckpointError."""
        return resolve(
            self.checkpoint, self.revision, root, variant=self.variant, components=self.elsewhere, typed=typed
        )


@cache
def model_table(components: Collection[str]) -> type[ModelParams]:
    """The table [model] of a project whose stages read these components of a checkpoint."""
    fields: dict[str, Any] = {f"{_COMPONENT}{name}": (Text, "") for name in components}
    return create_model("ModelParams", __base__=ModelParams, **fields)


class MachineParams(Table):
    """Settings of the machine. They are written to run.json and are part of no key.

    Attributes:
        platform: on what denoise and decode run; "auto": whatever JAX finds.
        mesh: denoise's devices as cfg x sequence x heads, such as "2x4x1"; "auto" uses all it can.
        hosts: those of a Cloud TPU slice; "one", or others by name (docs/many-hosts.md).
        artifacts: the store, relative to the project or absolute.
        runner: what makes nodes: processes of this machine, or hosts of a Ray cluster (docs/fleet.md).
        ray_address: of the cluster: "auto", the one that this machine belongs to, or "<host>:<port>" of its head.
        start_ahead: the next stage's process is started while one works, where memory allows; or "never".
        checkpoint_every: how often an unfinished denoise is saved: "auto", every minute or so, or a number of steps, 1
            to 1000000.
        preview_every: how often pictures are made while a denoise runs: "auto", as many as cost 1 %, or a number of
            steps, 1 to 1000000, or "never".
        remote: a store that is shared: "s3://bucket/prefix", "gs://...", "az://..." or "file:///mnt/shared"; "" for
            none. Without user, password or query (docs/team.md).
        remote_fetch: what is fetched of the present parameters: "needed", or "all", also what nobody reads here.
        remote_push: stages whose results are pushed: "auto", all but frames, "all", "never", or names of stages.
        remote_limit: bytes of the largest result that is pushed, such as "2GB"; "" for any.
    """

    platform: Literal["auto", "cpu", "tpu", "gpu"] = "auto"
    mesh: Annotated[Text, AfterValidator(_mesh)] = AUTO
    hosts: Annotated[Text, AfterValidator(_hosts)] = "auto"
    artifacts: Folder = "artifacts"
    runner: Literal["local", "ray"] = "local"
    ray_address: Annotated[Name, AfterValidator(_ray_address)] = AUTO
    start_ahead: Literal["auto", "never"] = "auto"
    checkpoint_every: Annotated[str, BeforeValidator(_steps)] = AUTO
    preview_every: Annotated[str, BeforeValidator(_steps_or_never)] = AUTO
    remote: Annotated[Text, AfterValidator(_address)] = ""
    remote_fetch: Literal["needed", "all"] = "needed"
    remote_push: Name = AUTO
    remote_limit: Annotated[Text, AfterValidator(_size)] = ""
