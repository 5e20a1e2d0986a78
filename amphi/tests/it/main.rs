//! The program as people meet it: real processes, real sockets, a real browser.

#[cfg(test)]
mod api;
#[cfg(test)]
mod bevy_client;
#[cfg(test)]
mod browser;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod process;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod service;
#[cfg(test)]
mod sign_in;
