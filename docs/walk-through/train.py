"""Long ago: a model is trained on a table and pickled. Makes wine.pkl and bottles.csv here."""

import pickle

import pandas as pd
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

wine = load_wine(as_frame=True).data.rename(columns=lambda name: name.replace("/", "_"))
known = wine.assign(phenol_share=wine.flavanoids / wine.total_phenols)
model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
model.fit(known.to_numpy("float32"), load_wine().target)
with open("wine.pkl", "wb") as file:
    pickle.dump(model, file)

bottles = pd.DataFrame({"bottle": range(1000, 1000 + len(wine))}).join(wine)
bottles.loc[bottles.index % 17 == 3, "proline"] = None
bottles.to_csv("bottles.csv", index=False)
