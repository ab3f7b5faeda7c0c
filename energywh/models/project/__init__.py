"""The SQL models as they lie on disk: read, parsed and put in order."""
