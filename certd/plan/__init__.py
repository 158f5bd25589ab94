"""The pure core: facts in, action out; event in, new record. No module here touches anything (ARCHITECTURE 1)."""
