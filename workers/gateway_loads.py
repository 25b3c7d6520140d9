"""What each gateway has in flight of each model version, as its last frame said."""

from __future__ import annotations

import threading

SILENT_S_MAX = 1.0


class GatewayLoads:
    """Heard by the reader, told by the writer to each gateway as the others' rows.

    What a gateway said is forgotten after `SILENT_S_MAX` of silence, so the table holds no more
    than the gateways that sent something within that time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._heard: dict[str, dict[str, tuple[int, float]]] = {}

    def hear(self, model_key: str, gateway: str, rows: int, now_s: float) -> None:
        """Note that a gateway has `rows` rows of a model version in flight."""
        with self._lock:
            self._heard.setdefault(model_key, {})[gateway] = (rows, now_s)

    def others(self, model_key: str, gateways: set[str], now_s: float) -> dict[str, int]:
        """Return for each of `gateways` the rows that all other gateways have in flight."""
        with self._lock:
            heard = self._heard.get(model_key, {})
            for silent in [name for name, (_, s) in heard.items() if now_s - s > SILENT_S_MAX]:
                del heard[silent]
            total = sum(rows for rows, _ in heard.values())
            return {name: total - heard.get(name, (0, 0.0))[0] for name in gateways}
