import argparse

import numpy as np
from kserve import Model, ModelServer, model_server


class Prepare(Model):
    def preprocess(self, payload, headers=None):
        rows = np.array(payload["instances"], np.float64)
        rows[:, 12] = np.nan_to_num(rows[:, 12], nan=673.5)
        rows = np.column_stack([rows, rows[:, 6] / rows[:, 5]])
        return {"instances": rows.tolist()}


parser = argparse.ArgumentParser(parents=[model_server.parser])
arguments, _ = parser.parse_known_args()
model = Prepare(arguments.model_name, predictor_host=arguments.predictor_host)
ModelServer().start([model])
