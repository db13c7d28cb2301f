"""The gallery: the folder ``figures/`` of the checkout, of shipped models and stored results, its page and paper."""
