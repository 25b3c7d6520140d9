import numpy as np
import onnxruntime as ort
from ray import serve
from starlette.requests import Request


@serve.deployment
class Wine:
    def __init__(self):
        self.session = ort.InferenceSession("model.onnx")

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.001)
    async def score(self, rows):
        columns = {name: np.array([row[name] for row in rows], np.float64) for name in rows[0]}
        columns["proline"] = np.nan_to_num(columns["proline"], nan=673.5)
        columns["phenol_share"] = columns["flavanoids"] / columns["total_phenols"]
        values = np.column_stack(list(columns.values())).astype(np.float32)
        labels, _ = self.session.run(None, {"X": values})
        return labels.tolist()

    async def __call__(self, request: Request):
        return {"label": await self.score(await request.json())}


app = Wine.bind()
