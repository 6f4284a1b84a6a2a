"""Tests of the journal's parts; what needs several of them at once is under integration."""
