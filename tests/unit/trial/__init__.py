"""Devices on trial, without their ports."""
