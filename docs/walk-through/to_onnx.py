from nightly import features, model
from skl2onnx import to_onnx

graph = to_onnx(model, features.to_numpy("float32")[:1], options={"zipmap": False})
open("models/wine/1/model.onnx", "wb").write(graph.SerializeToString())
