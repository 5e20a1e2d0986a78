//! What other languages read: the golden vectors of the session layer.

#[cfg(test)]
mod input_lead;
#[cfg(test)]
mod memory;
mod vectors;
