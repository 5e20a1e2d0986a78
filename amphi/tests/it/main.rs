//! The program as people meet it: real processes, real sockets, a real browser.

mod browser;
mod command_line;
mod process;
mod service;
