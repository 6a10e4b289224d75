//! Structured Service Addressing (SSA-1): pure rules.
#![no_std]
extern crate alloc;
