//! Command line of `gateway`.

fn main() {}
