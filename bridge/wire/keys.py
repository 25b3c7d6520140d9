"""Key names in Redis, and the data dictionary: which key is what.

| key                              | type            | holds                                       |
|----------------------------------|-----------------|---------------------------------------------|
| bb:{model@version}:online        | stream + group  | request frames of online callers            |
| bb:{model@version}:batch         | stream + group  | chunks of batch jobs, batch-lane requests   |
| bb:{model@version}:dead          | stream, capped  | frames given up on, with the reason         |
| bb:gateway:<id>:results          | list, expiring  | result frames and heartbeats for a gateway  |
| bb:gateways                      | sorted set      | gateway ids, scored by when last seen       |
| bb:contract:<model@version>      | string, expiring| the contract that workers serve             |
| bb:leaving                       | set, expiring   | workers that were told to end               |
| bb:cancelled                     | pub/sub channel | ids of requests whose callers have gone     |

The braces are the cluster hash tag: all keys of one model version share a slot.
"""

from __future__ import annotations

from bridge.wire.frame import Lane

GROUP = "workers"
FRAME_FIELD = b"f"
REASON_FIELD = b"reason"
GATEWAYS_KEY = "bb:gateways"
LEAVING_KEY = "bb:leaving"
CANCELLED_CHANNEL = "bb:cancelled"


def online_key(model_key: str) -> str:
    """Return the stream of online request frames of `model@version`."""
    return f"bb:{{{model_key}}}:online"


def batch_key(model_key: str) -> str:
    """Return the stream of batch chunks of `model@version`."""
    return f"bb:{{{model_key}}}:batch"


def lane_key(model_key: str, lane: Lane) -> str:
    """Return the stream of one lane of `model@version`."""
    return online_key(model_key) if lane == "online" else batch_key(model_key)


def dead_key(model_key: str) -> str:
    """Return the stream of frames given up on."""
    return f"bb:{{{model_key}}}:dead"


def results_key(gateway: str) -> str:
    """Return the list that a gateway reads its results from."""
    return f"bb:gateway:{gateway}:results"


def contract_key(model_key: str) -> str:
    """Return the key of a model version's published contract."""
    return f"bb:contract:{model_key}"
