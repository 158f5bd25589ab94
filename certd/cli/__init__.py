"""The commands. Each imports what it needs when it runs, so that asking for the health costs no HTTP client."""
