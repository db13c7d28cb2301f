"""From commits to observations with a known null law, for bets to be made on."""
