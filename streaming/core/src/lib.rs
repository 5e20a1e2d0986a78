//! Hub, topics, history and chat. No IO.

#![forbid(unsafe_code)]
