"""How fast, against what others do in the same run, and how near to what the machine can."""
