"""Averages the weights of several runs: *Model soups* (Wortsman et al., arXiv 2203.05482).

Runs that start from the same weights usually end in the same valley of the loss, and the mean of
their weights is better than each of them: noise of the last steps cancels out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vepe.errors import VepeError, counted
from vepe.inference.model_files import read_card
from vepe.inference.weights import load_weights, save_weights


def average_weights(
    files: Sequence[str | Path], output: Path, shares: Sequence[float] | None = None
) -> Path:
    """Writes the weighted mean of all tensors; configuration and skeleton are the first file's.

    Args:
        files: at least two weights files of the same network, or presets.
        output: a name that ends in `.safetensors`.
        shares: how much each file counts, in any unit; None: all alike.

    Returns:
        `output`.

    Raises:
        VepeError: if a file cannot be read, networks differ, or shares do not fit.
    """
    if len(files) < 2:
        raise VepeError("An average needs two weights files or more; name them one after another.")
    shares = [1.0] * len(files) if shares is None else list(shares)
    if len(shares) != len(files):
        raise VepeError(
            f"There are {counted(len(shares), 'share')} for {counted(len(files), 'file')}; give "
            "one for each."
        )
    if min(shares) < 0 or not 0 < sum(shares) < float("inf"):
        raise VepeError("Shares are numbers from 0 on, and not all of them 0; change --share.")
    weights = [share / sum(shares) for share in shares]
    model, config, training = load_weights(files[0])
    mean = {name: tensor * weights[0] for name, tensor in model.state_dict().items()}
    history = [_history(files[0], shares[0])]
    for file, share, weight in zip(files[1:], shares[1:], weights[1:], strict=True):
        other, _, _ = load_weights(file, skeleton=config.skeleton)
        tensors = other.state_dict()
        if {n: t.shape for n, t in tensors.items()} != {n: t.shape for n, t in mean.items()}:
            raise VepeError(
                f"'{file}' is another network than '{files[0]}'; only weights of the same one "
                "can be averaged."
            )
        for name, tensor in tensors.items():
            mean[name] = mean[name] + weight * tensor
        history.append(_history(file, share))
    own = model.state_dict()  # integers, such as counters of batches, stay the first file's
    mean = {n: t if own[n].is_floating_point() else own[n] for n, t in mean.items()}
    model.load_state_dict(mean)
    return save_weights(output, model, config, {**training, "average_of": history})


def _history(file: str | Path, share: float) -> dict[str, str | float]:
    return {"file": read_card(file).path.name, "share": share}
