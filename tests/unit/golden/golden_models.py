"""Models with golden rows: small enough that what goes wrong shows at a glance."""

from __future__ import annotations

from pathlib import Path

from bridge.contract.repository import VersionFolder
from bridge.golden.golden_check import GoldenCheck, check_golden
from bridge.golden.record import Recorded, RecordOptions, record
from tests.tiny_models import affine, write_version
from workers.loading import open_model

# z = 10 ((raw + 1) 2 + 1): 30 and 50 for a row of 0 and 1.
STAGED_PIPELINE = """
def preprocess(inputs):
    return {"x": inputs["raw"] + 1}


def postprocess(outputs, inputs):
    return {"z": outputs["y"] * 10}
"""
STAGED_CONTRACT = """
[inputs.raw]
datatype = "FP64"
shape = [-1, 2]
columns = ["left", "right"]
range = [-1000, 1000]

[outputs.z]
datatype = "FP64"
shape = [-1, 2]
columns = ["port", "starboard"]
"""
ROWS = 20


def staged(root: Path) -> VersionFolder:
    """A model of three stages."""
    path = write_version(
        root,
        "staged",
        graph=affine(2, 1, width=2),
        pipeline=STAGED_PIPELINE,
        contract=STAGED_CONTRACT,
    )
    return VersionFolder("staged", "1", path)


def staged_rows(path: Path) -> Path:
    """Row i is (i, -i)."""
    path.write_text(
        "".join(f'{{"left": {row}, "right": {-row}}}\n' for row in range(ROWS)), "utf-8"
    )
    return path


def recorded(folder: VersionFolder, data: Path, **changes: object) -> Recorded:
    """Record as the command does without options."""
    words: dict[str, object] = {
        "outputs_from": "",
        "label_column": "",
        "force": False,
        "threads": 1,
        **changes,
    }
    return record(folder, RecordOptions(model=folder.path, data=data, **words))  # type: ignore[arg-type]


def checked(folder: VersionFolder) -> GoldenCheck:
    """Replay in this process only."""
    model = open_model(folder, 1)
    found, _ = check_golden(folder, model, threads=1, left_out="a test", environment={})
    return found
