"""How much earlier than wanted an answer must be expected, so that few are late after all."""

from __future__ import annotations

# Below the one in a hundred that may be late, so that the mean stays below it.
TOLERATED = 0.006
GAIN = 0.05
# More would leave too little of a tight target to let anybody in, and nothing to learn from.
SHARE_MAX = 0.15


class LateMargin:
    """A share of the latency target that admission keeps back, steered by what became late.

    Each result frame moves it by GAIN (late / answered - TOLERATED): where it stays still, a share
    TOLERATED of the answers is late, whatever makes them so (online estimation of a quantile;
    Gibbs and Candès, "Adaptive Conformal Inference Under Distribution Shift", 2021). A frame whose
    answers are all late adds a twentieth of the target, and some 170 frames in time take that
    back. It is what the model of time cannot know: that other processes want the cores as well.
    """

    __slots__ = ("_answered", "_late", "share")

    def __init__(self) -> None:
        self.share = 0.0
        self._answered = 0
        self._late = 0

    def observe(self, is_late: bool, answers: int = 1) -> None:
        """Take in answers that are all late or all in time."""
        self._answered += answers
        if is_late:
            self._late += answers

    def end_frame(self) -> None:
        """Move by what was observed since the last frame."""
        if not self._answered:
            return
        moved = self.share + GAIN * (self._late / self._answered - TOLERATED)
        self.share = min(SHARE_MAX, max(0.0, moved))
        self._answered = self._late = 0
