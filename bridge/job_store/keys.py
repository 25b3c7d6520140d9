"""Key names of jobs in Redis, and their data dictionary.

| key                         | type           | holds                                            |
|-----------------------------|----------------|--------------------------------------------------|
| bb:{jobs}:<id>              | hash           | the manifest: each field a JSON value            |
| bb:{jobs}:<id>:input        | list           | the upload, in blocks                            |
| bb:{jobs}:<id>:progress     | list           | the journal's records                            |
| bb:{jobs}:<id>:output       | list           | the finished output, in blocks                   |
| bb:{jobs}:<id>:rejected     | list           | rejected.ndjson, in blocks                       |
| bb:{jobs}:all               | sorted set     | the ids of all jobs, by age: scores are 0        |
| bb:{jobs}:in:<state>        | sorted set     | the same of one state                            |
| bb:{jobs}:of:<tenant>       | sorted set     | the same of one tenant                           |
| bb:{jobs}:tenants           | hash           | id → tenant                                      |
| bb:{jobs}:open:<kind>:<tenant> | set       | the tenant's jobs of a kind that have not ended  |
| bb:{jobs}:bytes             | hash           | id → bytes stored; `total` → their sum           |
| bb:{jobs}:ends              | sorted set     | id → when it is forgotten, where that is known   |
| bb:{jobs}:key:<digest>      | string         | Idempotency-Key → id                             |
| bb:{jobs}:leases:<kind>     | sorted set     | unfinished jobs → their lease's end; 0: waiting  |
| bb:{jobs}:wake:<kind>       | list, bounded  | ids that have begun to wait                      |
| bb:{jobs}:runner:<id>       | list, expiring | ids of its jobs that were cancelled              |
| bb:{jobs}:webhooks          | sorted set     | id → when its webhook is to be called next       |
| bb:{jobs}:wake:webhooks     | list, bounded  | ids whose webhook has become due                 |
| bb:{jobs}:written           | string         | nothing: a write to wait for                     |

A job's own keys expire with it. They have one hash tag with the indexes, because each script
changes both: in a cluster all jobs are on one node.

Blocks are `BLOCK_BYTES` long except the last of a list, so that a byte's place is known.
"""

from __future__ import annotations

import hashlib

PREFIX = "bb:{jobs}:"
ALL_KEY = f"{PREFIX}all"
BYTES_KEY = f"{PREFIX}bytes"
TOTAL_FIELD = "total"
WEBHOOKS_KEY = f"{PREFIX}webhooks"
WRITTEN_KEY = f"{PREFIX}written"


def manifest_key(job: str) -> str:
    """Return the hash of a job's manifest."""
    return f"{PREFIX}{job}"


def part_key(job: str, part: str) -> str:
    """Return the list of one of a job's parts: input, progress, output or rejected."""
    return f"{PREFIX}{job}:{part}"


def state_key(state: str) -> str:
    """Return the sorted set of the jobs in a state."""
    return f"{PREFIX}in:{state}"


def tenant_key(tenant: str) -> str:
    """Return the sorted set of a tenant's jobs."""
    return f"{PREFIX}of:{tenant}"


def leases_key(kind: str) -> str:
    """Return the sorted set of unfinished jobs of a kind."""
    return f"{PREFIX}leases:{kind}"


def wake_key(kind: str) -> str:
    """Return the list that those who wait for jobs of a kind block on."""
    return f"{PREFIX}wake:{kind}"


def runner_key(runner: str) -> str:
    """Return the list that tells a runner of cancelled jobs."""
    return f"{PREFIX}runner:{runner}"


def idempotency_digest(tenant: str, key: str) -> str:
    """Return what stands for a tenant's Idempotency-Key: the key itself is not stored."""
    return hashlib.sha256(f"{tenant}\0{key}".encode()).hexdigest()
