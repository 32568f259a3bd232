"""The browser face of verbs: every noun's pages, and the pages of the runs themselves."""

from apps.actions.admin.pages import PolicyAdmin, ReadOnly, VerbAdmin, age, badge, line
from apps.actions.admin.runs import ActionRunAdmin

__all__ = ["ActionRunAdmin", "PolicyAdmin", "ReadOnly", "VerbAdmin", "age", "badge", "line"]
