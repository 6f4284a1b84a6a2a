"""Decide which clients are admitted, and what each may read and do."""
