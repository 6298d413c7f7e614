"""Training runs: from a recipe (`config.training.TrainConfig`) to weights.

`trainer` runs the stages of a recipe. `stage` is the loop over optimiser steps, `step` the forward
pass with its losses, `loader` and `sources` give the batches, `optimiser` has parameter groups,
learning rates and the EMA. `distributed` synchronises processes and stop signals, `checkpoint`
saves and restores a run, `start` makes its model. `run_log` writes losses and scores to a file,
`display` to the terminal and `trackers` to TensorBoard, W&B and MLflow; `report` makes a page of
it, `report_images` draws predictions. `evaluation` scores the EMA weights, `calibration` turns
their scores into probabilities, `grid` trains variations of a recipe, `setup` compiles.
"""
