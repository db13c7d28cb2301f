"""Target models: the contract, tables, shipped image models, and processors around any of them."""
