//! Command line of `simulator`.

fn main() {}
