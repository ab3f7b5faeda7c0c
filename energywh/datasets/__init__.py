"""Data exported from the warehouse: windows for training, the latest hours for inference, Parquet files."""
