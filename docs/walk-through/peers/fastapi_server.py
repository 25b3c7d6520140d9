import numpy as np
import onnxruntime as ort
from fastapi import FastAPI
from pydantic import BaseModel


class Bottle(BaseModel):
    alcohol: float
    malic_acid: float
    ash: float
    alcalinity_of_ash: float
    magnesium: float
    total_phenols: float
    flavanoids: float
    nonflavanoid_phenols: float
    proanthocyanins: float
    color_intensity: float
    hue: float
    od280_od315_of_diluted_wines: float
    proline: float | None


app = FastAPI()
session = ort.InferenceSession("model.onnx")


@app.post("/predict")
def predict(bottle: Bottle):
    row = bottle.model_dump()
    row["proline"] = 673.5 if row["proline"] is None else row["proline"]
    row["phenol_share"] = row["flavanoids"] / row["total_phenols"]
    label, _ = session.run(None, {"X": np.array([list(row.values())], np.float32)})
    return {"label": int(label[0])}
