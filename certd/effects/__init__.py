"""What certd does to the world: one function per action that decide() can answer with. Nothing here decides."""
