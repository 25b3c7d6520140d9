import bentoml
import numpy as np
import onnxruntime as ort


@bentoml.service
class Wine:
    def __init__(self):
        self.session = ort.InferenceSession("model.onnx")

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=50)
    def predict(self, rows: list[dict[str, float | None]]) -> list[int]:
        columns = {name: np.array([row[name] for row in rows], np.float64) for name in rows[0]}
        columns["proline"] = np.nan_to_num(columns["proline"], nan=673.5)
        columns["phenol_share"] = columns["flavanoids"] / columns["total_phenols"]
        values = np.column_stack(list(columns.values())).astype(np.float32)
        labels, _ = self.session.run(None, {"X": values})
        return labels.tolist()
