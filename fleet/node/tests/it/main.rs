//! The fleet role as its neighbours meet it.

#[cfg(test)]
mod role;
