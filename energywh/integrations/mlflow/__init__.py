"""MLflow: a stored dataset as inputs of a run, and the way back from a run to the dataset."""
