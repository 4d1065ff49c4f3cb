"""What docs/performance.md reports; each module with a command of its own is one benchmark."""
