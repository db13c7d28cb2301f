"""What every room needs and no room owns: finding somebody's code, writing files whole, words for another medium."""
