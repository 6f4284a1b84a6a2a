"""The MCAP file format: records, chunks, segments and indexes, read and written in one place."""
