//! The slice model and the planner, judged by what their documentation promises.

mod common;
mod naive;
mod optimal;
