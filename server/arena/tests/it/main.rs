//! What the arena promises to others: vectors for other languages, and whole matches.

mod vectors;
