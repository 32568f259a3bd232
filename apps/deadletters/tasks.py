"""What the tick does for dead letters."""

from apps.deadletters import backlog, causes


def sweep() -> None:
    """Fold the counts; open the families whose time of being ignored is over."""
    backlog.fold_tallies()
    causes.regress_lapsed()
