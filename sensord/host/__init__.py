"""What the operating system offers: systemd and journald."""
