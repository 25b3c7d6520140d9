"""Why a plan cannot be made."""

from __future__ import annotations


class PlanError(Exception):
    """A question that cannot be answered as asked; the message names the option and the reason."""
