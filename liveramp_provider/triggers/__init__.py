"""What is waited for without a worker."""
