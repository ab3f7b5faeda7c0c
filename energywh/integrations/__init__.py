"""Other tools that are told what energywh did. Nothing upstream imports this package."""

from energywh.integrations.tracking import log_dataset

__all__ = ["log_dataset"]
