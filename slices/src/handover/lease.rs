//! How long who holds a lease believes in it, and when another may take it.
//!
//! ```text
//! holder   asks to renew                                   stops to believe
//!            |<----------- duration − margin ------------->|
//!            |     store keeps it
//!            |        |      another sees it first                          takes it
//!            |        |         |<------------ duration + margin ------------->|
//! ```
//!
//! Nobody's clock is compared with another's: each counts time by its own, from what it did or saw itself. Another sees a
//! renewal after the holder asked for it. So never does one take a lease in which another still believes, as long as no
//! clock runs faster or slower than true time by more than the margin.

use core::time::Duration;

/// How far a clock may be off, in eighths of the duration: this allows for 12 % of drift.
const MARGIN: u32 = 1;

/// Returns how long after it asked to renew a lease its holder believes in it.
#[must_use]
pub fn believed(duration: Duration) -> Duration {
    duration * (8 - MARGIN) / 8
}

/// Returns how long after it first saw a lease as it is another may take it.
#[must_use]
pub fn free_after(duration: Duration) -> Duration {
    duration * (8 + MARGIN) / 8
}
