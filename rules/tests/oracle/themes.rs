//! The cases this project makes, by theme: inputs and, where a verdict is at stake, what is expected
//! of them are chosen by hand; the oracle works out addresses, keys and hashes.
