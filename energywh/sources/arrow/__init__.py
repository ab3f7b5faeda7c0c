"""What the sources do with Arrow columns. A package of its own, because importing the sources loads no Arrow."""
