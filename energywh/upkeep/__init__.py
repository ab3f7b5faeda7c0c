"""Look after a home: find what is wrong with it, measure it, and make room."""
