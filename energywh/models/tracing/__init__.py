"""Follow the columns of one SELECT to the columns of the tables that it reads. Knows SQL, and nothing of energywh."""
