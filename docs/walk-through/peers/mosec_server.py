import numpy as np
import onnxruntime as ort
from mosec import Server, Worker


class Wine(Worker):
    def __init__(self):
        self.session = ort.InferenceSession("model.onnx")

    def forward(self, rows):
        columns = {name: np.array([row[name] for row in rows], np.float64) for name in rows[0]}
        columns["proline"] = np.nan_to_num(columns["proline"], nan=673.5)
        columns["phenol_share"] = columns["flavanoids"] / columns["total_phenols"]
        values = np.column_stack(list(columns.values())).astype(np.float32)
        labels, _ = self.session.run(None, {"X": values})
        return [{"label": label} for label in labels.tolist()]


if __name__ == "__main__":
    server = Server()
    server.append_worker(Wine, max_batch_size=64, max_wait_time=1)
    server.run()
