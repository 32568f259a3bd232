"""The pages of dead letters, their families, and the rule for transient failures."""

from apps.deadletters.admin.families import FailureFamilyAdmin
from apps.deadletters.admin.letters import DeadLetterAdmin
from apps.deadletters.admin.rules import TransientRuleAdmin

__all__ = ["DeadLetterAdmin", "FailureFamilyAdmin", "TransientRuleAdmin"]
