"""Hand a peer its operations: `python enqueue.py MODULE COUNT`; they are numbered from 1, as the rows of outcomes are."""

import importlib
import json
import os
import sys

if __name__ == "__main__":
    importlib.import_module(sys.argv[1]).enqueue(range(1, int(sys.argv[2]) + 1), json.loads(os.environ["PAYLOAD"]))
