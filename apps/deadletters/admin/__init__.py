"""The pages of dead letters, their families, and the rule for transient failures."""

from apps.deadletters.admin.failing import FailingColumns, letter_of
from apps.deadletters.admin.families import FailureFamilyAdmin
from apps.deadletters.admin.letters import DeadLetterAdmin
from apps.deadletters.admin.rules import TransientRuleAdmin

__all__ = ["DeadLetterAdmin", "FailingColumns", "FailureFamilyAdmin", "TransientRuleAdmin", "letter_of"]
