"""What a version says of itself: tables, columns, audits, and where each column comes from."""
