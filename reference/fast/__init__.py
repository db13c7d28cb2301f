"""How laws of a large vocabulary are read: once a pass, block by block, compiled where it pays."""
