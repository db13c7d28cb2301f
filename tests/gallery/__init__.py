"""The gallery: runs, exhibits, stored results, the page and the paper."""
