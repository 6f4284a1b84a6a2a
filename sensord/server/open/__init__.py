"""Requests that stay open: their turns, flow control and answers in parts."""
