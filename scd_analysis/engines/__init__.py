"""What it takes to judge a real engine: models so small that every engine loads them, with laws far from uniform."""
