//! A city in a file: scenario, population and timeline of presses, the same bytes from the same seed.
