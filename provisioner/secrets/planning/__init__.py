"""Pure: where a copy is needed, and what it carries besides its content."""
