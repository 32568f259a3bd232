"""An operation as its connector sees it."""

from apps.integrations.connectors import CONNECTORS
from apps.integrations.connectors.shape import Doubles, Order, Site
from apps.operations.models import PendingOperation


def order_of(operation: PendingOperation, site: Site) -> Order:
    """Return an operation as its connector sees it: the key and the reference are its id, whatever is tried how often."""
    key = str(operation.pk)
    return Order(
        id=key,
        key=key,
        reference=f"opsconsole:{key}",
        operation_type=operation.operation_type,
        payload=operation.payload,
        site=site,
        called_at=operation.called_at,
        remote_id=operation.remote_id,
    )


def doubles_of(operation: PendingOperation) -> Doubles:
    """Return what stands against doing an operation twice."""
    known = CONNECTORS[operation.service.connector].operations.get(operation.operation_type)
    return known.doubles(operation.service.options) if known else Doubles.NONE
