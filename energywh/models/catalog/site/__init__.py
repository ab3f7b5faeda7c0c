"""Pages about the warehouse: the catalog as a static site, and the lineage of all models on one page."""
