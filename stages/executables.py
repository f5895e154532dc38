"""Compiled programs, kept in the store and loaded instead of being compiled again.

Owns the folder `<store>/.executables`, the name of a program in it, and who may have written there. What a program
computes, and when it is compiled, is left to the stages. docs/decisions/0014-compiled-executables.md says why.

A kept program is code: whoever can write to the folder runs what they like as the user. So the folder is the user's
alone, which is proven before each use, and nothing in it ever comes from elsewhere.
"""

import os
import secrets
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import jax
from jax.experimental import serialize_executable
from jax.sharding import NamedSharding
from jaxlib import xla_client

from stages.errors import StoreError
from stages.keys import Digest, JsonValue, canonical_json, digest_bytes
from stages.versions import versions_of

FOLDER = ".executables"  # in a store's root
_LAYOUT = 2  # of a file and of what its name is made of; another number finds nothing that was kept before
_MAX_BYTES = 4 * 2**30  # of all files together; the least recently used go first
_DIGEST_BYTES = 32  # XXH3-128 in hex, in front of a file's payload
_VERSIONS_OF = ("jax", "jaxlib", "libtpu")
_FLAGS = ("XLA_FLAGS", "LIBTPU_INIT_ARGS")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
# Settings that say where JAX looks for something or puts it. The devices of a program are in its name.
_WHERE = ("jax_platforms", "jax_compilation_cache_dir", "jax_dump_ir_to", "jax_cross_host_transfer_socket_address")

Shapes: TypeAlias = Any  # a tree of jax.ShapeDtypeStruct, each with its sharding


@dataclass(frozen=True)
class Program:
    """A jitted function for given devices, lowered but not compiled, and what its arguments are for.

    Attributes:
        name: "denoise step", "decode chunk": shown to people.
        lowered: what is to be compiled.
        weights: arguments that stay from call to call.
        state: arguments that are donated.
        flops: operations of a call in matrix products and convolutions, of all devices together (flops.py).
        compiler_options: XLA's, by name.
    """

    name: str
    lowered: jax.stages.Lowered
    weights: Shapes
    state: Shapes
    flops: int
    compiler_options: Mapping[str, str] = field(default_factory=dict)

    def compile(self) -> jax.stages.Compiled:
        """Compile it anew."""
        return self.lowered.compile(compiler_options=dict(self.compiler_options))


@dataclass(frozen=True)
class Executable:
    """A compiled program.

    Attributes:
        compiled: takes the arguments of the jitted function, without the static ones.
        compile_s: seconds that it took to get it now, compiled or loaded.
        was_loaded: whether it had been kept; nothing was compiled then.
    """

    compiled: jax.stages.Compiled
    compile_s: float
    was_loaded: bool


class Executables:
    """The compiled programs of one store. Any number of processes may use it at a time."""

    def __init__(self, store: Path, *, max_bytes: int = _MAX_BYTES) -> None:
        """`store` is the store's root; the folder below it is made when something is compiled."""
        self._folder = store / FOLDER
        self._max_bytes = max_bytes

    def compile(self, program: Program) -> Executable:
        """Load a program that has been compiled before, or compile it and keep it.

        A program for devices that are not at hand (of `jax.experimental.topologies`) is compiled each time: libtpu
        refuses to load it without a TPU.

        Raises:
            StoreError: others can write to the folder, or it cannot be made.
        """
        devices = _devices_of(program)
        if not _are_at_hand(devices):
            return _timed(program.compile)
        self._require_private()
        path = self._folder / _name_of(program, devices)
        if (payload := _read(path)) is not None:
            with suppress(Exception):  # whatever is wrong with it, compiling is the whole remedy
                return _timed(lambda: _load(payload, program, devices), was_loaded=True)
        executable = _timed(program.compile)
        self._keep(path, serialize_executable.serialize(executable.compiled)[0])
        return executable

    def _require_private(self) -> None:
        """Make the folder unless it is there. Raises StoreError unless it is the user's alone."""
        try:
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                self._folder.mkdir(mode=stat.S_IRWXU)
            status = self._folder.lstat()
        except OSError as error:
            raise StoreError(
                f"{self._folder}: cannot be made ({error.strerror}). Mend its permissions, or set `artifacts` in "
                "params/machine.toml to a folder that can be written."
            ) from error
        if not (stat.S_ISDIR(status.st_mode) and _is_own(status) and not status.st_mode & _OTHERS):
            raise StoreError(
                f"{self._folder}: is not a folder of yours alone (mode 0700), and compiled programs are run from it: "
                "whoever can write there could run code as you. Delete it; it is made again."
            )

    def _keep(self, path: Path, payload: bytes) -> None:
        """Write a file that is seen whole or not at all. Not keeping it costs time only, so no OSError is raised."""
        new = path.with_name(f"{path.name}-{secrets.token_hex(8)}")
        with suppress(OSError):
            try:
                descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(digest_bytes(payload).encode() + payload)
                new.replace(path)
                self._trim()
            finally:
                new.unlink(missing_ok=True)

    def _trim(self) -> None:
        """Delete the least recently used files until the rest is small enough."""
        statuses = {path: path.stat() for path in self._folder.iterdir()}
        excess = sum(status.st_size for status in statuses.values()) - self._max_bytes
        for path, status in sorted(statuses.items(), key=lambda entry: entry[1].st_mtime_ns):
            if excess <= 0:
                break
            path.unlink(missing_ok=True)
            excess -= status.st_size


def find_compiler_facts() -> dict[str, str]:
    """What decides in this process what the compiler makes of a program: versions, flags, JAX's settings; by name."""
    settings = {name: repr(value) for name, value in jax.config.values.items() if name not in _WHERE}
    return {**versions_of(_VERSIONS_OF), **{name: os.environ.get(name, "") for name in _FLAGS}, **settings}


def _devices_of(program: Program) -> tuple[jax.Device, ...]:
    """The program's devices in the order in which it counts them."""
    shardings = [leaf.sharding for leaf in jax.tree.leaves((program.weights, program.state))]
    for sharding in shardings:
        if isinstance(sharding, NamedSharding):
            return tuple(sharding.mesh.devices.flat)
    (device,) = shardings[0].device_set
    return (device,)


def _are_at_hand(devices: Sequence[jax.Device]) -> bool:
    try:
        return devices[0] in jax.devices(devices[0].platform)
    except RuntimeError:  # JAX has no such platform here
        return False


def _name_of(program: Program, devices: Sequence[jax.Device]) -> Digest:
    """XXH3-128 of all that decides what the compiler makes, and for whom."""
    return digest_bytes(
        canonical_json(
            {
                "layout": _LAYOUT,
                "program": program.lowered.as_text(),
                "arguments": _describe_arguments(program.lowered),
                "options": dict(program.compiler_options),
                "devices": [[device.id, device.device_kind, device.process_index] for device in devices],
                "process": jax.process_index(),
                # JAX's own name for the hardware: the chips' arrangement, or the instructions that this CPU has
                "topology": xla_client.get_topology_for_devices(list(devices)).fingerprint(),
                "compiler": find_compiler_facts(),
            }
        )
    )


def _describe_arguments(lowered: jax.stages.Lowered) -> JsonValue:
    """What a program's text does not tell: the arguments' trees, and which of them it takes.

    An argument that nothing depends on is dropped, and of two equal ones the text does not tell which.
    """
    internals: Any = lowered
    return {
        "trees": [str(lowered.in_tree), str(lowered.out_tree)],
        "all": [[list(info.shape), str(info.dtype), info.donated] for info in jax.tree.leaves(lowered.args_info)],
        # jax 0.10 has no public name for it
        "taken": sorted(internals._lowering.compile_args["kept_var_idx"]),
    }


def _read(path: Path) -> bytes | None:
    """Payload of a file that this user has written and nobody has damaged; None where there is no such file."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            is_own = stat.S_ISREG(status.st_mode) and _is_own(status) and not status.st_mode & _OTHERS
            content = file.read() if is_own else b""
        digest, payload = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if digest == digest_bytes(payload).encode():
            os.utime(path)  # it is in use: the others are deleted first
            return payload
    return None


def _is_own(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid()


def _timed(get: Callable[[], jax.stages.Compiled], *, was_loaded: bool = False) -> Executable:
    start = time.perf_counter()
    compiled = get()
    return Executable(compiled, time.perf_counter() - start, was_loaded)


def _load(payload: bytes, program: Program, devices: Sequence[jax.Device]) -> jax.stages.Compiled:
    return serialize_executable.deserialize_and_load(
        payload,
        program.lowered.in_tree,
        program.lowered.out_tree,
        backend=devices[0].client,
        execution_devices=devices,
    )
