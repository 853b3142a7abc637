"""What every stage speaks: messages, the wire, the scan grid, the config, the errors."""
