"""What is known of members: values of sources as of the day, one or several, computed, or given by a function."""
