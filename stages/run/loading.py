"""Reads a project's stages and parameters, and gives the build that follows from them."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from stages.machine.binary_units import show_gib
from stages.pipeline.stages import Pipeline, read_pipeline
from stages.remote.address import read_address
from stages.request.graph import build_graph
from stages.request.params import load_params
from stages.request.tables import MachineParams
from stages.run.build import Build
from stages.run.fingerprint import Fingerprinter
from stages.run.own_code import check_own_code
from stages.run.worker import Workers
from stages.store.artifacts import Store
from stages.store.layout import LOGS
from stages.store.leases import Leases
from stages.store.root_folder import require_folder, require_writable
from stages.store.stat_cache import STAT_CACHE, StatCache

if TYPE_CHECKING:
    from stages.remote.remote import RemoteStore


def load_build(
    root: Path,
    overrides: Mapping[str, str],
    *,
    is_read_only: bool = False,
    only_shows: bool = False,
    is_draft: bool = False,
) -> Build:
    """Read a project's stages and parameters, and work out the graph.

    What is wrong with single videos is in the graph's faults. If nothing will be made (`is_read_only`), the store need
    not be writable. If something is only to be shown (`only_shows`), the code may be that of another project, which is
    a warning. With `is_draft` each video is its draft.

    Raises:
        StagesError: code, stages, parameters, checkpoint or store cannot be used; nothing has been run.
    """
    check_own_code(root, only_warns=only_shows)
    pipeline = read_pipeline(root)
    params = load_params(root, overrides, pipeline, is_draft=is_draft)
    store = Store(root / Path(params.machine.artifacts).expanduser(), notify=_tell_of_reading)
    (require_folder if is_read_only else require_writable)(store.root)
    leases = Leases(store.root)
    leases.sweep()
    store.sweep_drafts()
    cache = StatCache(store.root / STAT_CACHE)
    graph = build_graph(params, root, cache, pipeline)
    packages, fingerprinter = {program.package for program in pipeline.programs}, Fingerprinter(cache)
    build = Build(
        root=root,
        graph=graph,
        machine=params.machine,
        store=store,
        code={package: fingerprinter.fingerprint(package) for package in packages},
        runner=Workers(root, store.root / LOGS),
        leases=leases,
        overrides=overrides,
        is_draft=is_draft,
        new_numbers=params.new_numbers,
        remote=_find_remote(params.machine, store, pipeline),
    )
    cache.save()
    return build


def _find_remote(machine: MachineParams, store: Store, pipeline: Pipeline) -> "RemoteStore | None":
    """The remote store that the settings name; it is not asked yet. Raises ParamsError: they cannot be followed."""
    if not machine.remote:
        return None
    # of no use to those who share nothing
    from stages.remote.object_storage import open_bucket  # noqa: PLC0415
    from stages.remote.policy import read_policy  # noqa: PLC0415
    from stages.remote.remote import RemoteStore  # noqa: PLC0415

    policy = read_policy(machine.remote_fetch, machine.remote_push, machine.remote_limit, pipeline)
    return RemoteStore(read_address(machine.remote), store, policy, open_bucket=open_bucket, warn=_warn)


def _warn(message: str) -> None:
    print(f"warning: {message}", file=sys.stderr)


def _tell_of_reading(path: Path, size_bytes: int) -> None:
    """What a person sees while nothing else happens: once for each file, as after a store was copied."""
    print(
        f"{path}: is not the file that was published, so its {show_gib(size_bytes)} are read and compared. "
        "`doit verify` reads several files at a time.",
        file=sys.stderr,
    )
