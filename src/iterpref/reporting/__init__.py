"""The report: what a run left on disk (`gather`), as numbers (`measures`), figures (`curves`) and text (`highlight`).

`page` puts them into one HTML file.
"""
