"""`python -m stages.report`: paints posters and strips, in a process that a broken video file cannot take along."""

from stages.report.painting import main

main()
