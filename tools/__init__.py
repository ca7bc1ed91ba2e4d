"""What the project runs by hand or in CI beside its tests: other projects' suites, and the generators of its pages."""
