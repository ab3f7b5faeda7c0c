"""Other tools that are told what energywh did. Nothing else imports this package but the command line."""
