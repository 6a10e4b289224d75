//! Classes of traffic: how a connection that passes is served.

/// How a connection that passes is served. A policy's action [assigns](crate::Action::class) it; a connection that does
/// not pass has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrafficClass {
    /// Good, as far as is known: it is served as if there were no classes.
    Assumed,
    /// Possibly bad: it gets what the others leave, through a cluster with limits of its own.
    Bad,
}
