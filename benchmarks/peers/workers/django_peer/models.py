"""The rows of outcomes, as Django sees them."""

from django.db import models


class Outcome(models.Model):  # noqa: DJ008 # nobody looks at one
    """What came of an operation."""

    status = models.TextField()
    status_code = models.IntegerField(null=True)
    completed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "outcome"
        managed = False
