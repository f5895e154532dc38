"""A process ends with the one that it helps, in processes of their own."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.processes

FOLLOWER = """
import sys, time
from stages.machine.lifeline import find_lifeline
lifeline = find_lifeline(sys.argv)
time.sleep(60)
"""


def test_a_process_whose_parent_was_gone_before_it_began_ends():
    reader, writer = os.pipe()
    os.close(writer)
    command = [sys.executable, "-c", FOLLOWER, "--parent-fd", str(reader)]
    ended = subprocess.run(command, pass_fds=[reader], check=False, timeout=30)
    os.close(reader)
    assert ended.returncode != 0
