"""What must run once: pure asyncio, handed its ports, clock and definition. No Ray, no SQL."""
