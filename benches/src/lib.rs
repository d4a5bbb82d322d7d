//! One bench per stage of the path, each beside its bound.
