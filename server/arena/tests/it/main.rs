//! What the arena promises to others: vectors for other languages, and whole matches.

#[cfg(test)]
mod matches;
#[cfg(test)]
mod vectors;
