//! The slice model and the planner, judged by what their documentation promises.

mod common;
mod errors;
mod naive;
mod optimal;
mod properties;
mod reached;
mod replicas;
mod scale;
mod space;
