"""Tables: what is measured of trained runs, and how it is written."""
