"""A lease that this process has is renewed until its block ends, and then given back."""

import os
import time
from pathlib import Path

from stages.keys import ArtifactId, Key
from stages.machine.holder import Holder
from stages.store.held_lease import Held
from stages.store.lease_file import Lease, write_lease


def test_it_is_renewed_while_the_work_goes_on_and_gone_afterwards(tmp_path: Path):
    lease = Lease(Holder.here(), ArtifactId("denoise", Key("a" * 32)), (), "", is_locked=True)
    path = tmp_path / "lease"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    write_lease(descriptor, lease.to_json(0))
    is_at_work = [False]
    with Held(0.01, path, descriptor, lease, lambda: is_at_work[0]):
        time.sleep(0.1)
        assert path.read_bytes() == lease.to_json(0)
        is_at_work[0] = True
        deadline = time.monotonic() + 60
        while path.read_bytes() == lease.to_json(0):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert not path.exists()
