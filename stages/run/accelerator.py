"""How a job gets its devices: an accelerator is waited for while another process has it, and shown meanwhile."""

import os

import jax

from stages.errors import MeshError
from stages.machine.device_files import find_device_files
from stages.machine.device_lock import hold_devices, name_locks
from stages.machine.devices import pick_devices
from stages.machine.holder import Holder
from stages.run.job import Job
from stages.run.report import Report
from stages.run.signals import renew_handlers


def open_devices(job: Job, report: Report) -> list[jax.Device]:
    """The devices of the machine's platform, as `pick_devices`, which no other process on this machine has.

    This process has them until it ends.

    Raises:
        MeshError: as `pick_devices`; or another process has one of them, and the job does not wait.
    """
    hold_accelerators(job, report)
    try:
        return pick_devices(job.machine["platform"])
    finally:
        renew_handlers()  # libtpu and drivers are loaded by now


def hold_accelerators(job: Job, report: Report) -> None:
    """Take the locks on all accelerators that JAX will open for a job. Raises MeshError as `open_devices`."""
    names = name_locks(job.machine["platform"], find_device_files(), os.environ)
    if not names:
        return

    def wait(name: str, holder: Holder | None) -> None:
        who = holder or "another process"
        if not job.waits:
            raise MeshError(f"{name} of this machine is in use by {who}. Run it again when that has ended.")
        report.show_waiting(f"waiting for {name}, which is in use by {who}")

    hold_devices(names, wait)
    report.note_devices()
