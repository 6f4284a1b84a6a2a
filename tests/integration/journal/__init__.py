"""The journal as a whole, on real files and through real crashes."""
