"""mosec with an ONNX model, for the dialects `mosec` and `mosec-msgpack`.

In the repository's root, with the packages of `make install-peers`:

    .venv-peers/bin/python -m loadtest.peers.mosec_server models/breast_cancer/1/model.onnx \
        --address 127.0.0.1 --port 8000 [--msgpack] [--unbatched]

A body is one row of the model's only input; the answer has one value per output. `--unbatched` runs
each row alone, which makes a lone caller's answer sooner and all callers' fewer. Further options
are mosec's own.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from mosec import Server, Worker
from mosec.mixin import MsgpackMixin

from loadtest.bare_loop import open_bare_loop

MODEL = "PEER_MODEL"
MSGPACK = "--msgpack"
UNBATCHED = "--unbatched"
BATCH_ROWS_MAX = 64
# The shortest that mosec knows: how long the first row of a batch waits for more.
BATCH_WAIT_MS = 1


class Scorer(Worker):  # type: ignore[misc] # mosec is not there where types are checked
    """Scores the rows that mosec has gathered; JSON both ways."""

    def __init__(self) -> None:
        self._model = open_bare_loop(Path(os.environ[MODEL]))
        self._outputs = [output.name for output in self._model.session.get_outputs()]

    def forward(self, data: list[Any]) -> list[dict[str, Any]]:
        rows = np.array(data, dtype=np.float32)
        columns = self._model.session.run(None, {self._model.input_name: rows})
        values = zip(*(column.tolist() for column in columns), strict=True)
        return [dict(zip(self._outputs, row, strict=True)) for row in values]


class MsgpackScorer(MsgpackMixin, Scorer):  # type: ignore[misc] # as above
    """The same, MessagePack both ways."""


class LoneScorer(Scorer):
    """The same, JSON both ways, a row at a time."""

    def forward(self, data: Any) -> Any:
        return super().forward([data])[0]


def main() -> None:
    server = Server()
    environment = [{MODEL: sys.argv[1]}]
    if UNBATCHED in sys.argv:
        server.append_worker(LoneScorer, env=environment)
    else:
        server.append_worker(
            MsgpackScorer if MSGPACK in sys.argv else Scorer,
            max_batch_size=BATCH_ROWS_MAX,
            max_wait_time=BATCH_WAIT_MS,
            env=environment,
        )
    server.run()


if __name__ == "__main__":
    main()
