"""What stops a delivery: checks before a row is read, and limits before a file is sealed or sent."""
