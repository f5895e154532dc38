"""The report: a folder of pages that shows what has been made, beside what made it.

Begin with site.py; static/ and templates/ hold what a browser reads.
"""
