"""What a terminal shows, as text: cells, times, plots, and the model of `sensord monitor`.

Pure: no curses, no clock, no socket. Time and the size of the screen are arguments.
"""
