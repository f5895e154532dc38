"""What is known of a cluster."""

import json
from dataclasses import asdict

from stages.fleet.status import Host, KnownActor, Status


def test_a_status_is_json():
    status = Status("one:1", (Host("one", "10.0.0.1", {"CPU": 1.0}),), (KnownActor("me@one:1", "encode"),))
    assert json.loads(json.dumps(asdict(status)))["actors"] == [
        {"run": "me@one:1", "program": "encode", "host": "", "node": "", "since_s": 0.0}
    ]
