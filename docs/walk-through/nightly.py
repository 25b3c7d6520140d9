"""The nightly batch job, as it is: python nightly.py bottles.csv scores.csv"""

import pickle
import sys

import pandas as pd

bottles = pd.read_csv(sys.argv[1])
features = bottles.drop(columns="bottle").fillna({"proline": 673.5})
features["phenol_share"] = features.flavanoids / features.total_phenols
with open("wine.pkl", "rb") as file:
    model = pickle.load(file)
labels = model.predict(features.to_numpy("float32"))
pd.DataFrame({"bottle": bottles.bottle, "label": labels}).to_csv(sys.argv[2], index=False)
