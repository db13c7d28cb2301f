"""Files written whole, and words of other people."""
