"""Models whose answer is a function of the caller's nonce, and that fail on demand."""

from __future__ import annotations

from pathlib import Path

from tests.tiny_models import PATIENT, Recording, write_version

FINE, RAISES, ABORTS = 0, 1, 2
NONCE_MAX = 2**48

# Every caller can tell its own answer from any other's.
_ANSWER = "inputs['nonce'] * 31 + 7"

_TENSORS = """
[inputs.nonce]
datatype = "INT64"
[inputs.mark]
datatype = "INT64"
[inputs.pause_ms]
datatype = "FP64"
[outputs.answer]
datatype = "INT64"
"""

# Writes down the nonces of each run, waits for its longest pause, then does what the marks say.
_MIRROR = f"""
import json
import os
import threading
from pathlib import Path

RECORD = Path(__file__).with_name("batches.jsonl")


def predict(inputs):
    nonces = inputs["nonce"].tolist()
    with RECORD.open("a") as file:
        file.write(json.dumps({{"shape": [len(nonces)], "first": nonces}}) + "\\n")
    if inputs["pause_ms"].any():
        threading.Event().wait(inputs["pause_ms"].max() / 1000)
    if (inputs["mark"] == {ABORTS}).any():
        os.abort()
    if (inputs["mark"] == {RAISES}).any():
        raise ValueError("a marked row")
    return {{"answer": {_ANSWER}}}
"""

_BROKEN = """
def predict(inputs):
    raise RuntimeError("never answers")
"""

# Right for the zeros of the profile at load, one row short for callers.
_SHORT = f"""
def predict(inputs):
    answer = {_ANSWER}
    return {{"answer": answer[1:] if inputs["nonce"].any() else answer}}
"""


def answer_of(nonce: int) -> int:
    """What the models answer to a row."""
    return nonce * 31 + 7


def write_models(root: Path) -> Recording:
    """Write `mirror`, `broken` and `short`; return the record of what `mirror` runs."""
    contract = f"{PATIENT}max_batch_rows = 64\n{_TENSORS}"
    folder = write_version(root, "mirror", pipeline=_MIRROR, contract=contract)
    write_version(root, "broken", pipeline=_BROKEN, contract=contract)
    write_version(root, "short", pipeline=_SHORT, contract=contract)
    return Recording(folder)


def nonces_run(recording: Recording) -> list[int]:
    """The nonces of all callers' rows that `mirror` has run, in the order of the runs.

    Callers' nonces are not 0: that is a row of the profile that a worker makes at load.
    """
    return [nonce for batch in recording.batches() for nonce in batch["first"] if nonce]
