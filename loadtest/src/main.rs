//! Command line of `loadtest`.

fn main() {}
