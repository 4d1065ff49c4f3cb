"""What each receiver accepts: data and small pure functions, one module a receiver."""
