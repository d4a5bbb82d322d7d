//! Command line of `device`.

fn main() {}
