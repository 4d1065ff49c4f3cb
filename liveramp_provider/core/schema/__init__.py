"""What the keys of an audience file may hold, whatever file or receiver they describe."""
