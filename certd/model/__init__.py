"""What certd speaks of: specifications, records, facts, actions, events. Data only; no module here does anything."""
