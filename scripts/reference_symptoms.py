"""Generates the table of symptoms of the guide to troubleshooting."""

import reference_problems

page = reference_problems.symptoms
