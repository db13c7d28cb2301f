"""Where variates can lie: monotone functions of one, cells of the simplex for several, and their probabilities."""
