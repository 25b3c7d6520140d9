"""Builds every sample model: `python -m models.build [--into FOLDER]`, from the project's root.

Deterministic: all seeds are fixed. The bytes of a model.onnx can differ between versions of the
libraries that write it; its predictions may not (tests/integration/test_models_rebuild.py).
Files written by hand (contract.toml, pipeline.py, one example.json) are copied when the models
are built into another folder.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from models.training.breast_cancer import build_breast_cancer
from models.training.crop_yield import build_crop_yield
from models.training.digits import build_digits, build_fixed_batch
from models.training.soil_water import build_soil_water

MODELS = Path(__file__).parent
VERSION = "1"
HASHES = "hashes.json"
HASHED_SUFFIXES = frozenset({".onnx", ".json", ".toml", ".py", ".parquet"})

Build = Callable[[Path], str]


def build_evapotranspiration(folder: Path) -> str:
    """Nothing to train: the model is pipeline.py."""
    return f"{folder.parent.name} is mathematics, nothing to train"


BUILDS: Mapping[str, Build] = {
    "breast_cancer": build_breast_cancer,
    "crop_yield": build_crop_yield,
    "digits": build_digits,
    "evapotranspiration": build_evapotranspiration,
    "fixed_batch": build_fixed_batch,
    "soil_water": build_soil_water,
}


def build_all(destination: Path) -> None:
    """Write all model folders and hashes.json below `destination`; print one line per model."""
    for name, build in BUILDS.items():
        folder = destination / name / VERSION
        folder.mkdir(parents=True, exist_ok=True)
        copy_missing(MODELS / name / VERSION, folder)
        print(f"{name}: {build(folder)}")
    hashes = json.dumps(hashes_of(destination), indent=2)
    (destination / HASHES).write_text(hashes + "\n", encoding="utf-8")


def copy_missing(source: Path, folder: Path) -> None:
    """Copy what `source` has and `folder` has not, without model files: those are built."""
    for path in sorted(source.glob("*.*")):
        target = folder / path.name
        if path.suffix != ".onnx" and not target.exists():
            shutil.copyfile(path, target)


def hashes_of(destination: Path) -> dict[str, str]:
    """SHA-256 by path of every artefact in the version folders, in order of path."""
    return {
        path.relative_to(destination).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for name in sorted(BUILDS)
        for path in sorted((destination / name / VERSION).iterdir())
        if path.suffix in HASHED_SUFFIXES
    }


def main() -> None:
    """Build into the repository, or into the folder given by --into."""
    parser = argparse.ArgumentParser(description="Build the sample models.")
    parser.add_argument("--into", type=Path, default=MODELS, help="default: the models folder")
    build_all(parser.parse_args().into)


if __name__ == "__main__":
    main()
