"""Where the peers live: an environment of their own beside the project's, made when it is first needed."""

import shutil
import subprocess
import sys
import venv
from hashlib import sha256
from pathlib import Path

HERE = Path(__file__).resolve().parent
BENCH = HERE.parent.parent / ".bench"
PYTHON, NODE = BENCH / "venv", BENCH / "node"
OLDEST_NODE = (20, 18)
"""Asked for by the HTTP client."""


def python() -> Path:
    """Return the folder of the programs in Python, installed as requirements.txt says."""
    lock = HERE / "requirements.txt"
    if not _is_made(PYTHON, lock):
        venv.create(PYTHON, clear=True, with_pip=True)
        _run(str(PYTHON / "bin/python"), "-m", "pip", "install", "-q", "--require-hashes", "-r", str(lock))
        _stamp(PYTHON, lock)
    return PYTHON / "bin"


def node() -> Path | None:
    """Return the folder of the packages for Node, installed as package-lock.json says; None where there is no Node, or an old one."""
    npm = shutil.which("npm")
    if npm is None or _node_version() < OLDEST_NODE:
        return None
    lock = HERE / "package-lock.json"
    if not _is_made(NODE, lock):
        NODE.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, NODE)
        _run(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(NODE))
        _stamp(NODE, lock)
    return NODE / "node_modules"


def _node_version() -> tuple[int, ...]:
    found = shutil.which("node")
    if found is None:
        return ()
    told = subprocess.run([found, "--version"], check=True, capture_output=True, text=True).stdout  # noqa: S603 # ours
    return tuple(int(number) for number in told.strip().lstrip("v").split(".")[:2])


def _run(*words: str) -> None:
    subprocess.run(words, check=True, stdout=sys.stderr)  # noqa: S603 # ours


def _is_made(folder: Path, lock: Path) -> bool:
    stamp = folder / "made-of"
    return stamp.exists() and stamp.read_text() == _digest(lock)


def _stamp(folder: Path, lock: Path) -> None:
    (folder / "made-of").write_text(_digest(lock))


def _digest(lock: Path) -> str:
    return sha256(lock.read_bytes()).hexdigest()
