"""Published versions: their files, their records, and how two of them differ."""
