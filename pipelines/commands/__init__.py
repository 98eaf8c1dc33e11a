"""What a person types and reads: the work behind the commands, and how results look."""
