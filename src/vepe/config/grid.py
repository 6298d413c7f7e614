"""A grid: named variations of one recipe, whose results are compared in a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, field_validator

from vepe.config.base import Settings
from vepe.config.load import override, parse, preset_names, read_yaml
from vepe.config.training import TrainConfig
from vepe.errors import VepeError


class GridRun(Settings):
    """One variation: its name and the options it changes, in the syntax of `--set`."""

    name: str = Field(pattern=r"^\w[\w.-]*$", description="name, and name of its folder")
    set: tuple[str, ...] = Field((), description="options as key.sub=value")


class GridConfig(Settings):
    """Runs that each differ from one recipe in a few options."""

    base: str = Field(description="recipe: a preset, or a YAML file relative to the grid's folder")
    set: tuple[str, ...] = Field((), description="options of all runs, applied before their own")
    seeds: tuple[int, ...] = Field(
        (), description="each run is repeated with every seed; empty: the recipe's seed"
    )
    runs: tuple[GridRun, ...] = Field(min_length=1)

    @field_validator("runs")
    @classmethod
    def _check_names(cls, runs: tuple[GridRun, ...]) -> tuple[GridRun, ...]:
        names = [run.name for run in runs]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two runs are named '{name}'; give each its own name")
        return runs


@dataclass(frozen=True)
class PlannedRun:
    """A run of a grid, ready to train; `folder` is relative to the grid's output folder."""

    name: str
    seed: int
    folder: str
    config: TrainConfig


def plan_grid(
    source: str, *, base: str | None = None, settings: Sequence[str] = ()
) -> list[PlannedRun]:
    """All runs of a grid in order, each validated before the first one starts.

    Args:
        source: name of a preset (`ablation`) or a YAML file.
        base: the recipe to vary instead of the grid's own.
        settings: options of all runs, applied last.

    Raises:
        VepeError: if the grid, the recipe or the options of a run are invalid; names the run.
    """
    grid = parse(GridConfig, read_yaml(source, "grids"), source)
    recipe = read_yaml(base or _base_source(source, grid.base), "recipes")
    return [run for variation in grid.runs for run in _runs(grid, variation, recipe, settings)]


def _runs(
    grid: GridConfig, variation: GridRun, recipe: dict, settings: Sequence[str]
) -> Iterator[PlannedRun]:
    where = f"run '{variation.name}'"
    try:
        data = override(recipe, [*grid.set, *variation.set, *settings])
    except VepeError as error:
        raise VepeError(f"{where}: {error}") from None
    for seed in grid.seeds or (None,):
        config = parse(TrainConfig, data if seed is None else {**data, "seed": seed}, where)
        folder = variation.name if seed is None else f"{variation.name}-seed{seed}"
        yield PlannedRun(variation.name, config.seed, folder, config)


def _base_source(source: str, base: str) -> str:
    """A preset's name as it is; a file relative to the grid's folder."""
    if base in preset_names("recipes") or not source.endswith((".yaml", ".yml")):
        return base
    return str(Path(source).parent / base)
