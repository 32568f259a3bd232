"""The tokens of the played services: one alive per service and tenant, the old ones dead."""

import hashlib

from apps.simulator.store import Store

KIND = "tokens"


class Tokens:
    """Made from the seed, so that a run can be repeated, and kept."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store, self.seed = store, seed
        self.alive: dict[tuple[str, str], str] = {}
        self.owners: dict[tuple[str, str], str] = {}
        self.rotations: dict[tuple[str, str], int] = {}
        for body in store.kept(KIND).values():
            self._hold(str(body["service"]), str(body["tenant"]), str(body["token"]), int(str(body["rotations"])))

    def of(self, service: str, tenant: str = "") -> str:
        """The token that is alive, made if there was none."""
        if (service, tenant) not in self.alive:
            self.rotate(service, tenant)
        return self.alive[service, tenant]

    def owner(self, service: str, token: str) -> str | None:
        """Whose token it is; None: nobody's, or a dead one."""
        self.of(service)
        return self.owners.get((service, token))

    def rotate(self, service: str, tenant: str = "", token: str | None = None) -> str:
        """A new one, or the one given; the old one is dead at once."""
        rotations = self.rotations.get((service, tenant), 0) + 1
        made = hashlib.sha256(f"{self.seed}/{service}/{tenant}/{rotations}".encode()).hexdigest()[:32]
        self._hold(service, tenant, token or made, rotations)
        body = {"service": service, "tenant": tenant, "token": token or made, "rotations": rotations}
        self.store.keep(KIND, f"{service}/{tenant}", body)
        return token or made

    def all(self) -> list[dict[str, str]]:
        """Those that are alive."""
        return [{"service": key[0], "tenant": key[1], "token": token} for key, token in self.alive.items()]

    def _hold(self, service: str, tenant: str, token: str, rotations: int) -> None:
        self.owners.pop((service, self.alive.get((service, tenant), "")), None)
        self.alive[service, tenant] = token
        self.owners[service, token] = tenant
        self.rotations[service, tenant] = rotations
