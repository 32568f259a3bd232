"""Who acts, and through which door."""

from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser, PermissionsMixin, User
from django.db import models
from django.utils.translation import gettext_lazy as _


class Door(models.TextChoices):
    """The face through which a verb was asked for."""

    ADMIN = "admin", _("admin")
    API = "api", _("API")
    COMMAND = "command", _("command line")
    RUNBOOK = "runbook", _("runbook")
    SYSTEM = "system", _("system")


@dataclass(frozen=True)
class Actor:
    """A person, a key or the system itself. There is no default: every caller says who acts.

    `grants` are the permissions of an actor without a user (`operations.retry_pendingoperation`); None means all,
    which only the system and the command line have: whoever can run commands already holds the database.
    """

    door: Door
    name: str
    user: User | None = None
    grants: frozenset[str] | None = frozenset()

    @classmethod
    def of_user(cls, user: AbstractBaseUser | PermissionsMixin | object, door: Door = Door.ADMIN) -> "Actor":
        """Return the actor for a signed-in user."""
        assert isinstance(user, User)  # noqa: S101 # AnonymousUser never gets past the sign-in
        return cls(door=door, name=user.get_username(), user=user)

    @classmethod
    def command(cls, name: str) -> "Actor":
        """Return the actor for a management command run by the named account of the machine."""
        return cls(door=Door.COMMAND, name=name, grants=None)

    def may(self, permission: str) -> bool:
        """Say whether the actor has a permission (`app.codename`)."""
        if self.user is not None:
            return self.user.has_perm(permission)
        return self.grants is None or permission in self.grants


SYSTEM = Actor(door=Door.SYSTEM, name="system", grants=None)


def spoken(name: str) -> str:
    """Return a name as people read it: what the system did by itself is told in their language."""
    return str(Door.SYSTEM.label) if name == SYSTEM.name else name
