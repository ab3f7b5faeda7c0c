"""Windows stored as a folder of files, with a manifest."""
