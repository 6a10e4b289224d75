//! What is done at several replicas: writes that all of them acknowledge, and reads that the fastest answers.

use std::{fmt, time::Duration};

use futures_util::future::join_all;

use crate::{
    plan::Target,
    stagger::{Winner, stagger},
};

/// A write that not every replica acknowledged. Those that did keep it: the writer repeats the write, or takes it back.
#[derive(Debug)]
pub struct NotAll<T, E> {
    /// The replicas that acknowledged it, and what they said.
    pub acknowledged: Vec<(Target, T)>,
    /// Those that did not, and why.
    pub failed: Vec<(Target, E)>,
}

/// A read that no replica answered.
#[derive(Debug)]
pub struct AllFailed<E>(
    /// What became of each.
    pub Vec<(Target, E)>,
);

fn write_failed<E: fmt::Display>(f: &mut fmt::Formatter<'_>, failed: &[(Target, E)]) -> fmt::Result {
    for (number, (target, error)) in failed.iter().enumerate() {
        let before = if number == 0 { "" } else { "; " };
        write!(f, "{before}replica {} at {}: {error}", target.replica, target.address)?;
    }
    Ok(())
}

impl<T, E: fmt::Display> fmt::Display for NotAll<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failed, all) = (self.failed.len(), self.failed.len() + self.acknowledged.len());
        write!(f, "{failed} of {all} replicas did not acknowledge: ")?;
        write_failed(f, &self.failed)
    }
}

impl<E: fmt::Display> fmt::Display for AllFailed<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no replica answered: ")?;
        write_failed(f, &self.0)
    }
}

impl<T: fmt::Debug, E: fmt::Debug + fmt::Display> std::error::Error for NotAll<T, E> {}

impl<E: fmt::Debug + fmt::Display> std::error::Error for AllFailed<E> {}

/// Writes to all replicas at once, and waits for all of them. The targets are those of
/// [`plan_all`](crate::Service::plan_all).
///
/// # Errors
///
/// [`NotAll`] names those that did not acknowledge. There is no consensus here: after an error, replicas differ.
pub async fn write_to_all<T, E, F: Future<Output = Result<T, E>>>(
    targets: impl IntoIterator<Item = Target>,
    write: impl Fn(Target) -> F,
) -> Result<Vec<(Target, T)>, NotAll<T, E>> {
    let write = |target| {
        let written = write(target);
        async move { (target, written.await) }
    };
    let (mut acknowledged, mut failed) = (Vec::new(), Vec::new());
    for (target, written) in join_all(targets.into_iter().map(write)).await {
        match written {
            Ok(value) => acknowledged.push((target, value)),
            Err(error) => failed.push((target, error)),
        }
    }
    if failed.is_empty() {
        Ok(acknowledged)
    } else {
        Err(NotAll { acknowledged, failed })
    }
}

/// Reads of the first target; after `delay` without an answer, or at a failure, of the next one too, and so on. The first
/// answer counts, and ends the other reads. A `delay` near the slowest percent of answers costs a percent more reads.
///
/// # Errors
///
/// What became of every target, where none answered.
pub async fn read_fastest<T, E, F: Future<Output = Result<T, E>>>(
    targets: impl IntoIterator<Item = Target>,
    delay: Duration,
    read: impl Fn(Target) -> F,
) -> Result<(Target, T), AllFailed<E>> {
    match stagger(targets, delay, read).await {
        Ok(Winner { target, value, .. }) => Ok((target, value)),
        Err(failed) => Err(AllFailed(failed)),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv6Addr, SocketAddrV6};

    use tokio::time::{Instant, sleep};

    use super::*;

    fn targets() -> Vec<Target> {
        let target = |replica: u8| Target {
            address: SocketAddrV6::new(Ipv6Addr::from(0x2001_0db8 << 96 | u128::from(replica)), 80, 0, 0),
            source: Ipv6Addr::LOCALHOST,
            replica,
        };
        (0..3).map(target).collect()
    }

    #[tokio::test]
    async fn a_write_is_done_when_all_acknowledge_and_names_those_that_do_not() {
        let written = write_to_all(targets(), |target| async move { Ok::<u8, String>(target.replica) }).await;
        assert_eq!(
            written.unwrap().iter().map(|(_, value)| *value).collect::<Vec<_>>(),
            [0, 1, 2]
        );
        let written = write_to_all(targets(), |target| async move {
            if target.replica == 1 { Err("disk full") } else { Ok(()) }
        });
        let error = written.await.unwrap_err();
        assert_eq!((error.acknowledged.len(), error.failed.len()), (2, 1));
        assert_eq!(
            error.to_string(),
            "1 of 3 replicas did not acknowledge: replica 1 at [2001:db8::1]:80: disk full"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_replica_is_overtaken() {
        let began = Instant::now();
        let read = read_fastest(targets(), Duration::from_millis(20), |target| async move {
            let slow = if target.replica == 0 { 5000 } else { 7 };
            sleep(Duration::from_millis(slow)).await;
            Ok::<u8, String>(target.replica)
        });
        assert_eq!(read.await.unwrap().1, 1);
        assert_eq!(began.elapsed(), Duration::from_millis(27));
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_nobody_answers_tells_of_everybody() {
        let read = read_fastest(targets(), Duration::from_millis(20), |target| async move {
            Err::<(), _>(format!("lost {}", target.replica))
        });
        assert_eq!(
            read.await.unwrap_err().to_string(),
            "no replica answered: replica 0 at [2001:db8::]:80: lost 0; replica 1 at [2001:db8::1]:80: lost 1; \
             replica 2 at [2001:db8::2]:80: lost 2"
        );
    }
}
