//! The project's own commands: demo, test, check, bench.

fn main() {}
