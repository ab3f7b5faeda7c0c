"""The model runner: reads `sql/`, orders it, builds it, audits it, publishes it, and explains it."""
