//! Attempts at several targets, one beside the other, each a while after the one before (RFC 8305 §5).

use std::{pin::pin, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::{Instant, sleep};

/// An attempt that succeeded.
#[derive(Debug)]
pub(crate) struct Winner<T, V, E> {
    /// The target.
    pub(crate) target: T,
    /// What it gave.
    pub(crate) value: V,
    /// The targets that were tried before it and have not answered yet.
    pub(crate) overtaken: Vec<T>,
    /// Those that failed meanwhile.
    pub(crate) failed: Vec<(T, E)>,
}

/// Tries the targets in their order: the next one after `delay`, or as soon as one fails. The first success ends all others.
///
/// # Errors
///
/// What became of every target, where none succeeded.
pub(crate) async fn stagger<T: Copy + PartialEq, V, E, F: Future<Output = Result<V, E>>>(
    targets: impl IntoIterator<Item = T>,
    delay: Duration,
    attempt: impl Fn(T) -> F,
) -> Result<Winner<T, V, E>, Vec<(T, E)>> {
    let mut left = targets.into_iter().peekable();
    let mut running = FuturesUnordered::new();
    let mut started: Vec<T> = Vec::new();
    let mut failed: Vec<(T, E)> = Vec::new();
    let mut due = pin!(sleep(Duration::ZERO));
    loop {
        tokio::select! {
            biased;
            Some((target, result)) = running.next(), if !running.is_empty() => match result {
                Ok(value) => {
                    let before = started.into_iter().take_while(|other| *other != target);
                    let has_failed = |other: &T| failed.iter().any(|(one, _)| one == other);
                    let overtaken = before.filter(|other| !has_failed(other)).collect();
                    return Ok(Winner { target, value, overtaken, failed });
                }
                Err(error) => {
                    failed.push((target, error));
                    due.as_mut().reset(Instant::now());
                }
            },
            () = &mut due, if left.peek().is_some() => {
                if let Some(target) = left.next() {
                    started.push(target);
                    let attempt = attempt(target);
                    running.push(async move { (target, attempt.await) });
                }
                due.as_mut().reset(Instant::now() + delay);
            }
            else => return Err(failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(250);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// What each target does, and when: a success or a failure after so many milliseconds.
    async fn run(script: &[(u64, bool)]) -> (Result<(usize, Vec<usize>), Vec<usize>>, Duration) {
        let began = Instant::now();
        let done = stagger(0..script.len(), DELAY, |target| async move {
            let (after, succeeds) = script[target];
            sleep(ms(after)).await;
            if succeeds { Ok(()) } else { Err(()) }
        });
        let done = done.await;
        let done = done.map(|winner| (winner.target, winner.overtaken));
        let done = done.map_err(|failed| failed.into_iter().map(|(target, ())| target).collect());
        (done, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_target_is_tried_after_the_delay() {
        let never = 1_000_000;
        assert_eq!(run(&[(10, true), (0, true)]).await, (Ok((0, vec![])), ms(10)));
        assert_eq!(run(&[(never, true), (10, true)]).await, (Ok((1, vec![0])), ms(260)));
        assert_eq!(
            run(&[(never, true), (never, true), (10, true)]).await,
            (Ok((2, vec![0, 1])), ms(510))
        );
        // The first may still win.
        assert_eq!(run(&[(300, true), (never, true)]).await, (Ok((0, vec![])), ms(300)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_starts_the_next_one_at_once() {
        assert_eq!(run(&[(5, false), (10, true)]).await, (Ok((1, vec![])), ms(15)));
        assert_eq!(
            run(&[(5, false), (5, false), (5, false)]).await,
            (Err(vec![0, 1, 2]), ms(15))
        );
        assert_eq!(
            run(&[(400, false), (1, false), (20, false)]).await,
            (Err(vec![1, 2, 0]), ms(400))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn without_targets_nothing_succeeds() {
        assert_eq!(run(&[]).await, (Err(vec![]), ms(0)));
    }
}
