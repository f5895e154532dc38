"""Who has what one at a time can have, such as an accelerator: said for people, and to tell holders apart.

Owns the words and the fields; leases.py in stages/store/ and device_lock.py write them into files.
"""

import os
import pwd
import secrets
import socket
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from stages.machine.json_files import decode_json, parse_json
from stages.machine.printable import local_time, printable

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MAX_TEXT = 100  # characters
_MAX_PROCESSES = 1 << 31
_TEXTS = ("user", "host", "machine", "since", "token")


@dataclass(frozen=True)
class Holder:
    """A process that has something.

    Attributes:
        user, host, process: name of the user, of the host, and process id.
        machine: identity of the running kernel, whose file locks are all in one place; containers of it have one.
        since: when it began, ISO 8601, by the holder's clock. Shown to people; never compared with another clock.
        token: random; tells two holders apart.
    """

    user: str
    host: str
    process: int
    machine: str
    since: str
    token: str

    @staticmethod
    def here() -> "Holder":
        """This process, from now on."""
        return Holder(
            user=_shown(_user()),
            host=_shown(socket.gethostname()),
            process=os.getpid(),
            machine=this_machine(),
            since=datetime.now().astimezone().isoformat(timespec="seconds"),
            token=secrets.token_hex(8),
        )

    @staticmethod
    def from_fields(fields: object) -> "Holder | None":
        """The holder that the fields of a JSON object say, whatever else is in it; None where they do not."""
        if not isinstance(fields, dict):
            return None
        process = fields.get("process")
        texts: dict[str, Any] = {name: fields.get(name) for name in _TEXTS}
        if type(process) is not int or not 0 < process < _MAX_PROCESSES or not all(map(_is_shown, texts.values())):
            return None
        return Holder(process=process, **texts)

    @property
    def is_of_this_machine(self) -> bool:
        """Whether a file lock of it is seen here."""
        return self.machine == this_machine()

    def __str__(self) -> str:
        return printable(f"{self.user} on {self.host} (process {self.process}, since {local_time(self.since)})")


def read_holder(text: bytes) -> Holder | None:
    """The holder that the text of a file names; None where it names none."""
    try:
        return Holder.from_fields(parse_json(decode_json(text)))
    except ValueError:
        return None


def this_machine() -> str:
    """Identity of the running kernel, or the name of the host where the kernel has none."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return _shown(socket.gethostname())


def _is_shown(text: object) -> bool:
    """Whether a text that anybody may have written is one that can be shown on a terminal as it is."""
    return isinstance(text, str) and text.isprintable() and len(text) <= _MAX_TEXT


def _shown(text: str) -> str:
    """The nearest to a text that can be shown so."""
    return "".join(each if each.isprintable() else "?" for each in text[:_MAX_TEXT])


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's, which no file knows
        return f"user {os.getuid()}"
