//! What other languages read: the golden vectors of the session layer.

mod vectors;
