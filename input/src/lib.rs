//! What operators write, and how its faults are told: for `ssa` and `ssa-resolver` alike.
//!
//! - [`json`] reads a JSON document into types. Every fault is reported at once, each by its path in the document
//!   (`services[3].inbound.ports[0]`), its line and its column, with what is allowed there: in the words of JSON, not in
//!   those of Rust or of a library.
//! - [`yaml`] reads YAML, and JSON with it, into a tree whose values know their lines.
//! - [`secrets`] finds what may be key material in a text, and hides it. It is the second line of defence. The first is
//!   that what stands where a key belongs is never repeated, whatever it looks like, and that [`json`] repeats no text.
//! - [`text`] takes a byte order mark off a text, and what would steer a terminal out of it.
//! - `usage`, by the feature `clap`, does the same to what clap says of flags.
//! - [`files`] says in words why the system refuses a file, a socket or an address.
//!
//! The crate is pure: texts in, values or faults out. It opens nothing, prints nothing, and knows no service.

pub mod files;
pub mod json;
pub mod secrets;
#[cfg(feature = "testing")]
pub mod testing;
pub mod text;
#[cfg(feature = "clap")]
pub mod usage;
pub mod yaml;
