"""Times of methods (Table V): measured through the contract, kept as records, reported like every other table."""
