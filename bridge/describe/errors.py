"""Why a model cannot be described."""

from __future__ import annotations


class DescribeError(Exception):
    """Nothing was written; the message names the option or the file, and what to do."""
