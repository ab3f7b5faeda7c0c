"""Settings and the options that they are declared as."""
