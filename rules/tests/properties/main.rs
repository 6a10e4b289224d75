//! The crate against the oracle, on random records, lists, clients and packets: the same in every run.

#![allow(
    clippy::cast_possible_truncation,
    reason = "what is drawn is below the bound it was drawn for"
)]

mod case;
mod choosing;
mod composing;
mod publication;
mod records;
mod requests;
mod verifying;
mod wire;
