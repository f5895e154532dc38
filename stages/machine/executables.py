"""Compiled programs, kept in the store and loaded instead of being compiled again.

Owns the name of a program in its folder, which kept_programs.py names. private_folder.py keeps other users from writing
there; the stages decide what a program computes and when it is compiled.
docs/decisions/0014-compiled-executables.md says why.

A kept program is code: whoever can write to the folder can run anything as the user. So a file counts only if this user
has written it. Whatever is wrong with the folder is a warning and stops nothing: programs are then compiled.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import jax
from jax.experimental import serialize_executable
from jax.sharding import NamedSharding

from stages.errors import StoreError
from stages.keys import Digest, JsonValue, canonical_json, digest_bytes
from stages.machine.binary_units import MIB
from stages.machine.host_memory import return_freed_memory
from stages.machine.jax_internals import hardware_fingerprint, kept_arguments
from stages.machine.kept_programs import FOLDER, find_limit
from stages.machine.private_folder import PrivateFolder, open_private
from stages.machine.versions import versions_of

_LAYOUT = 2  # version of the files and of their names; with another number nothing that was kept before is found
_VERSIONS_OF = ("jax", "jaxlib", "libtpu")
_FLAGS = ("XLA_FLAGS", "LIBTPU_INIT_ARGS")
# Settings that only say where JAX looks for things or puts them. A program's devices are in its name by themselves.
_PLACES = ("jax_platforms", "jax_compilation_cache_dir", "jax_dump_ir_to", "jax_cross_host_transfer_socket_address")

Shapes: TypeAlias = Any  # a tree of jax.ShapeDtypeStruct, each with its sharding


@dataclass(frozen=True)
class Program:
    """A jitted function for given devices, lowered but not compiled.

    Attributes:
        name: "denoise step", "decode chunk"; shown to users.
        lowered: what is to be compiled.
        weights: shapes of the arguments that stay from call to call.
        state: shapes of the arguments that are donated.
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
        """Compile it, whether it is kept or not."""
        return self.lowered.compile(compiler_options=dict(self.compiler_options))


@dataclass(frozen=True)
class Executable:
    """A compiled program.

    Attributes:
        compiled: takes the arguments of the jitted function, without the static ones.
        compile_s: seconds that compiling or loading it took.
        was_loaded: whether it was loaded from the store instead of being compiled.
        name: of its file in the folder of compiled programs; "" of one that has none.
    """

    compiled: jax.stages.Compiled
    compile_s: float
    was_loaded: bool
    name: str = ""


CompileProgram: TypeAlias = Callable[[Program], Executable]  # how whoever holds programs gets one


def compile_in_memory(program: Program) -> Executable:
    """Compile a program and keep nothing of it on disk.

    Raises:
        jax.errors.JaxRuntimeError: the compiler refuses it.
    """
    executable = _timed(program.compile)
    return_freed_memory()  # of the compiler: 0.2 GiB for the decoder of the real size, which would be there at the peak
    return executable


class Executables:
    """The compiled programs of one store. Any number of processes may use it at a time."""

    def __init__(self, store: Path, *, warn: Callable[[str], None], max_bytes: int | None = None) -> None:
        """Open nothing yet; the folder is created when something is compiled.

        Args:
            store: the store's root.
            warn: is called once for each thing that cannot be kept or loaded, with the reason and the fix.
            max_bytes: of all files together; the least recently used are deleted first. None: what the disk allows.
        """
        self._store, self._path = store, store / FOLDER
        self._max_bytes = max_bytes
        self._send_warning = warn
        self._sent: set[str] = set()

    def compile(self, program: Program) -> Executable:
        """Load a program that has been compiled before, or compile it and keep it.

        A program for devices that this machine lacks (of `jax.experimental.topologies`) is compiled each time: libtpu
        refuses to load it without a TPU.

        Raises:
            jax.errors.JaxRuntimeError: the compiler refuses it.
        """
        devices = _devices_of(program)
        if not _are_here(devices):
            return compile_in_memory(program)
        with ExitStack() as stack:
            try:
                folder = stack.enter_context(open_private(self._path))
            except StoreError as error:
                self._warn(f"{error} Until then nothing is kept, and each process compiles its programs again.")
                return compile_in_memory(program)
            name = _name_of(program, devices)
            executable = self._load(folder, name, program, devices)
            if executable is None:
                executable = compile_in_memory(program)
                self._keep(folder, name, program, executable.compiled)
            return replace(executable, name=name)

    def _load(
        self, folder: PrivateFolder, name: Digest, program: Program, devices: Sequence[jax.Device]
    ) -> Executable | None:
        """The program as it was kept; None when it was not, or cannot be loaded: compiling it is all that is needed."""
        try:
            payload = folder.read(name)
            if payload is None:
                return None
            return _timed(lambda: _deserialize(payload, program, devices), was_loaded=True)
        except Exception as error:  # the system's, pickle's, JAX's
            self._warn(
                f"the {program.name} that was kept cannot be loaded ({_explain(error)}). It is compiled again and "
                "replaced."
            )
            return None

    def _keep(self, folder: PrivateFolder, name: Digest, program: Program, compiled: jax.stages.Compiled) -> None:
        """Write a program's file, and delete files beyond the limit. A failure costs time and nothing else."""
        try:
            payload = serialize_executable.serialize(compiled)[0]
            limit = find_limit(self._store) if self._max_bytes is None else self._max_bytes
            if len(payload) > limit:
                self._warn(
                    f"the {program.name} is not kept, so that the room stays for artifacts: it has "
                    f"{_mib(len(payload))}, and compiled programs may take {_mib(limit)} on this disk. Each process "
                    "compiles it again."
                )
                return
            folder.write(name, payload)
            folder.trim(limit)
        except OSError as error:
            self._warn(
                f"{self._path}: cannot be written ({error.strerror}), so that each process compiles the {program.name} "
                "again. Make room, or set `artifacts` in params/machine.toml to a folder that can be written."
            )
        except Exception as error:  # pickle's and JAX's, for a program that cannot be taken apart
            self._warn(f"the {program.name} cannot be kept ({_explain(error)}); each process compiles it again.")

    def _warn(self, message: str) -> None:
        if message not in self._sent:
            self._sent.add(message)
            self._send_warning(message)


def describe_compiling(executables: Sequence[Executable]) -> Mapping[str, JsonValue]:
    """For run.json: how a job has got its programs, and their names; nothing of one that had them already.

    By the names it is known, without JAX, whether a later run finds them (stages/history/).
    """
    if not executables:
        return {}
    return {
        "compile_s": round(sum(each.compile_s for each in executables), 3),
        "was_loaded": all(each.was_loaded for each in executables),
        "programs": [each.name for each in executables],
    }


def find_compiler_facts() -> dict[str, str]:
    """What decides, in this process, what the compiler makes of a program: versions, flags, JAX's settings; by name."""
    settings = {name: repr(value) for name, value in jax.config.values.items() if name not in _PLACES}
    return {**versions_of(_VERSIONS_OF), **{name: os.environ.get(name, "") for name in _FLAGS}, **settings}


def _devices_of(program: Program) -> tuple[jax.Device, ...]:
    """The program's devices, in the order in which it numbers them."""
    shardings = [leaf.sharding for leaf in jax.tree.leaves((program.weights, program.state))]
    for sharding in shardings:
        if isinstance(sharding, NamedSharding):
            return tuple(sharding.mesh.devices.flat)
    (device,) = shardings[0].device_set
    return (device,)


def _are_here(devices: Sequence[jax.Device]) -> bool:
    try:
        return devices[0] in jax.devices(devices[0].platform)
    except RuntimeError:  # JAX has no such platform here
        return False


def _name_of(program: Program, devices: Sequence[jax.Device]) -> Digest:
    """XXH3-128 of all that decides what the compiler makes, and for which devices and process."""
    return digest_bytes(
        canonical_json(
            {
                "layout": _LAYOUT,
                "program": program.lowered.as_text(),
                "arguments": _describe_arguments(program.lowered),
                "options": dict(program.compiler_options),
                "devices": [[device.id, device.device_kind, device.process_index] for device in devices],
                "process": jax.process_index(),
                "topology": hardware_fingerprint(devices),
                "compiler": find_compiler_facts(),
            }
        )
    )


def _describe_arguments(lowered: jax.stages.Lowered) -> JsonValue:
    """What a program's text does not say: the arguments' trees, and which of them it takes."""
    return {
        "trees": [str(lowered.in_tree), str(lowered.out_tree)],
        "all": [[list(info.shape), str(info.dtype), info.donated] for info in jax.tree.leaves(lowered.args_info)],
        "taken": list[JsonValue](kept_arguments(lowered)),
    }


def _explain(error: Exception) -> str:
    """One line of an error of any kind."""
    text = " ".join(str(error).split())
    return text if isinstance(error, StoreError) else f"{type(error).__name__}: {text}"


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / MIB:.2f} MiB"


def _timed(get: Callable[[], jax.stages.Compiled], *, was_loaded: bool = False) -> Executable:
    start = time.perf_counter()
    compiled = get()
    return Executable(compiled, time.perf_counter() - start, was_loaded)


def _deserialize(payload: bytes, program: Program, devices: Sequence[jax.Device]) -> jax.stages.Compiled:
    return serialize_executable.deserialize_and_load(
        payload,
        program.lowered.in_tree,
        program.lowered.out_tree,
        backend=devices[0].client,
        execution_devices=devices,
    )
