from __future__ import annotations

from pathlib import Path

import pytest

from bridge.contract.declaration import parse_declaration
from bridge.plan.errors import PlanError
from bridge.plan.model_copy import copied_model, declared_target_s, find_version, with_target


@pytest.fixture
def models(tmp_path: Path) -> Path:
    for version in ("1", "10", "2"):
        folder = tmp_path / "m" / version
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(b"onnx")
    return tmp_path


@pytest.mark.parametrize(
    "contract",
    [
        "",
        'description = "x"\n',
        "[serving]\nlatency_target_ms = 5\ntimeout_ms = 6\n",
        "[serving]\ntimeout_ms=6\nlatency_target_ms=5\n[inputs.x]\nrange = [0, 1]\n",
    ],
)
def test_a_contract_gets_the_asked_target_whatever_it_said(contract: str) -> None:
    changed = parse_declaration(with_target(contract, 0.0425).encode())
    assert changed.serving().latency_target_s == pytest.approx(0.0425)


def test_everything_else_in_a_contract_stays() -> None:
    text = '[serving]\nmax_batch_rows = 7\nlatency_target_ms = 5\n[inputs.x]\nunit = "mm"\n'
    changed = with_target(text, 0.01)
    assert changed == (
        '[serving]\nlatency_target_ms = 10.0\nmax_batch_rows = 7\n[inputs.x]\nunit = "mm"\n'
    )


def test_a_name_without_a_version_means_the_highest(models: Path) -> None:
    assert find_version(models, "m").version == "10"


def test_a_version_can_be_named(models: Path) -> None:
    assert find_version(models, "m@2").version == "2"


def test_an_unknown_model_is_refused_with_the_known_ones(models: Path) -> None:
    with pytest.raises(PlanError, match=r"^MODEL: .* holds no model 'x'; it holds: m$"):
        find_version(models, "x")


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"^models: "):
        find_version(tmp_path / "none", "m")


def test_a_model_without_a_contract_has_the_default_target(models: Path) -> None:
    assert declared_target_s(find_version(models, "m")) == 0.1


def test_a_copy_holds_the_one_version_with_the_asked_target(models: Path) -> None:
    with copied_model(find_version(models, "m@2"), 0.02) as root:
        copied = find_version(root, "m")
        assert (copied.version, declared_target_s(copied)) == ("2", 0.02)


def test_a_copy_leaves_the_original_alone(models: Path) -> None:
    folder = find_version(models, "m@2")
    with copied_model(folder, 0.02):
        assert declared_target_s(folder) == 0.1
