"""How often a process of ours looks for cycles of garbage."""

import gc


def collect_less() -> None:
    """Look for them less often, and never among what was there when the process began.

    A drain makes tens of objects for each call, and the web for each request, and drops them soon; looking through them
    took a tenth of their time.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
