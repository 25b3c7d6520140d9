"""Why no rows are made."""

from __future__ import annotations


class SynthesizeError(Exception):
    """Nothing was written; the message names the option or the file."""
