"""Contenders side by side: each round lets every one of them run once, in turn, so that a noisy minute hits them all.

A path is one thing that is measured: it says who takes part, what a round gives, and which ratios are asked for. Each module
of a path runs by itself (`python -m benchmarks.purge`) and in the suite (`make bench`).
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path as File
from typing import Any

ROUNDS, QUICK_ROUNDS = 5, 1


@dataclass(frozen=True)
class Target:
    """A ratio that is asked for: of one contender to another, to the best of several, or to a number.

    Where more is better the ratio has to be `asked` at least, otherwise at most; `aim` is where it should be.
    """

    what: str
    ours: str
    against: str | Sequence[str] | float
    asked: float
    aim: float


@dataclass(frozen=True)
class Path:
    """One thing that is measured, in one unit; `contenders` give one round's figure each time they are called."""

    slug: str
    title: str
    unit: str
    contenders: Mapping[str, Callable[[], float]]
    targets: Sequence[Target] = ()
    more_is_better: bool = True
    rounds_at_most: int = 1000
    """Fewer than others have, where one alone takes minutes."""
    notes: list[str] = field(default_factory=list)
    """What a reader has to know; contenders may add to it."""


Build = Callable[[bool], AbstractContextManager[Path | Sequence[Path]]]
"""Makes a path ready, in short form where told so, and clears up behind it; or several that share their ground."""


def main(build: Build, doc: str | None) -> None:
    """Measure a path, or several, as the command line says, print the tables, and write them down where asked to."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="few rows, one round")
    parser.add_argument("--only", nargs="*", default=[], help="contenders, by the beginnings of their names")
    parser.add_argument("--json", type=File)
    asked = parser.parse_args()
    rounds = asked.rounds or (QUICK_ROUNDS if asked.quick else ROUNDS)
    with build(asked.quick) as built:
        found = [measured(path, rounds, asked.only) for path in ([built] if isinstance(built, Path) else built)]
    sys.stdout.write("\n".join(as_markdown(each) for each in found))
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2))


def measured(path: Path, rounds: int, only: Sequence[str] = ()) -> dict[str, Any]:
    """Run the rounds; return the figures, as they go into the JSON file."""
    chosen = {name: act for name, act in path.contenders.items() if not only or name.startswith(tuple(only))}
    figures: dict[str, list[float]] = {name: [] for name in chosen}
    rounds = min(rounds, path.rounds_at_most)
    for number in range(rounds):
        for name, act in chosen.items():
            figures[name].append(act())
            sys.stderr.write(f"{path.slug}, round {number + 1}: {name} {figures[name][-1]:,.4g} {path.unit}\n")
    results = {name: _result(each) for name, each in figures.items()}
    told = {"slug": path.slug, "title": path.title, "unit": path.unit, "rounds": rounds, "results": results}
    return {**told, "targets": [_reached(path, target, results) for target in path.targets], "notes": path.notes}


def _result(figures: list[float]) -> dict[str, Any]:
    return {"median": statistics.median(figures), "low": min(figures), "high": max(figures), "rounds": figures}


def _reached(path: Path, target: Target, results: Mapping[str, Any]) -> dict[str, Any]:
    """Compare medians; nothing is said where a contender did not take part."""
    told = {"what": target.what, "asked": target.asked, "aim": target.aim, "at_least": path.more_is_better}
    ours, other = results.get(target.ours), _other(path, target, results)
    if ours is None or other is None:
        return told
    ratio = ours["median"] / other
    return {**told, "ratio": ratio, "reached": ratio >= target.asked if path.more_is_better else ratio <= target.asked}


def _other(path: Path, target: Target, results: Mapping[str, Any]) -> float | None:
    if isinstance(target.against, int | float):
        return float(target.against)
    names = [target.against] if isinstance(target.against, str) else target.against
    medians = [results[name]["median"] for name in names if name in results]
    if not medians:
        return None
    return float((max if path.more_is_better else min)(medians))


def as_markdown(found: Mapping[str, Any]) -> str:
    """Return a path's figures as tables."""
    lines = [f"### {found['title']}", "", f"| who | {found['unit']}, median of {found['rounds']} | lowest to highest |"]
    lines += ["|---|---|---|"]
    for name, each in found["results"].items():
        lines.append(f"| {name} | {_figure(each['median'])} | {_figure(each['low'])} to {_figure(each['high'])} |")
    if any("ratio" in target for target in found["targets"]):
        lines += ["", "| ratio | measured | asked | aim | |", "|---|---|---|---|---|"]
        lines += [_target_line(target) for target in found["targets"] if "ratio" in target]
    return "\n".join([*lines, "", *(f"{note}\n" for note in found["notes"])]) + "\n"


def _target_line(target: Mapping[str, Any]) -> str:
    word = "≥" if target["at_least"] else "≤"
    reached = "reached" if target["reached"] else "**not reached**"
    return f"| {target['what']} | {target['ratio']:.2f} | {word} {target['asked']:g} | {target['aim']:g} | {reached} |"


def _figure(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"
