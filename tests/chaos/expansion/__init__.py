"""A later version's migrations: they expand tables that everything writes to."""
