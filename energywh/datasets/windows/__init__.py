"""Windows of consecutive hours for training and inference, over one array in memory."""
