"""The browser face of verbs: every noun's pages, and the pages of the runs themselves."""

from apps.actions.admin.pages import NOTHING, PolicyAdmin, ReadOnly, VerbAdmin, age, badge, figure, line
from apps.actions.admin.runs import ActionRunAdmin

__all__ = ["NOTHING", "ActionRunAdmin", "PolicyAdmin", "ReadOnly", "VerbAdmin", "age", "badge", "figure", "line"]
