"""The outside services that are played: one file each, all of one shape."""

from typing import Protocol

from apps.simulator.calls import Answer, Call


class Vendor(Protocol):
    """What a played service knows to do."""

    def credential(self, call: Call) -> str:
        """The token that the call carries; empty where it carries none."""

    def answer(self, call: Call) -> Answer:
        """Do what is asked, and say so. All its effects are kept when it returns."""

    def error(self, status: int, message: str) -> Answer:
        """A refusal in the vendor's own shape."""
