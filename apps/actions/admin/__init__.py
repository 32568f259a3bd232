"""The browser face of verbs: every noun's pages, and the pages of the runs themselves."""

from apps.actions.admin.pages import PolicyAdmin, VerbAdmin, badge
from apps.actions.admin.runs import ActionRunAdmin

__all__ = ["ActionRunAdmin", "PolicyAdmin", "VerbAdmin", "badge"]
