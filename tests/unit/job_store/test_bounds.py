"""What --job-storage-mb means."""

from __future__ import annotations

import pytest

from bridge.job_store.bounds import STORED_BYTES_MAX, storage_bytes


@pytest.mark.parametrize(
    ("text", "expected"), [("auto", STORED_BYTES_MAX), ("0", 0), ("3", 3 << 20)]
)
def test_it_is_mebibytes_or_left_to_the_queue(text: str, expected: int) -> None:
    assert storage_bytes(text) == expected


@pytest.mark.parametrize("text", ["", "-1", "1.5", "1g", "99999999", "１"])
def test_anything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="job-storage-mb"):
        storage_bytes(text)
