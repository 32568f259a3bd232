"""PostgreSQL as Django knows it, but for one thing: a kept connection is looked at before each request without a round trip."""

import select

from django.db.backends.postgresql.base import DatabaseWrapper as PostgreSQL
from psycopg.pq import TransactionStatus


class DatabaseWrapper(PostgreSQL):
    """A server that ended, or ended our session, has said so on the socket: only then it is worth a question."""

    def is_usable(self) -> bool:
        """Say whether the connection works."""
        return self._is_quiet() or super().is_usable()

    def _is_quiet(self) -> bool:
        """Say whether it stands, its transaction too, and nothing has come that nobody asked for."""
        if self.connection is None or self.connection.closed:
            return False
        if self.connection.pgconn.transaction_status == TransactionStatus.INERROR:
            return False
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLIN | select.POLLERR | select.POLLHUP)
        return not poll.poll(0)
