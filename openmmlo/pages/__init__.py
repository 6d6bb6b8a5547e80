"""What a page should show comes in; one file goes out that opens offline, loads nothing and runs nothing foreign.

Rooms that have something to show keep their templates, styles and scripts beside their code; what all pages share is
here: the skeleton, its style and script, numbers as text, and the geometry of charts.
"""
