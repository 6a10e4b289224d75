//! Interleaved rounds: what is measured takes turns.

use std::{
    io::{self, IsTerminal as _},
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use super::{
    envoy::Envoy,
    error::Error,
    report::{Row, Sample},
};

/// Rounds that are not counted: until then Envoy has met the addresses that are in use.
const WARM_UP: usize = 4;

/// Envoys that are measured as one: every connection passes through all of them.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) name: String,
    /// In the order in which connections pass.
    pub(crate) envoys: Vec<Envoy>,
    /// Where clients connect to.
    pub(crate) destinations: Vec<SocketAddr>,
}

impl Subject {
    pub(crate) fn new(name: &str, envoys: Vec<Envoy>, destinations: Vec<SocketAddr>) -> Self {
        Self {
            name: name.into(),
            envoys,
            destinations,
        }
    }

    /// Waits until a connection through it succeeds.
    pub(crate) fn wait_until_serving<T>(&mut self, connect: impl Fn(SocketAddr) -> io::Result<T>) -> Result<(), Error> {
        let deadline = Instant::now() + Duration::from_mins(1);
        while let Err(fault) = connect(self.destinations[0]) {
            if self.envoys.iter_mut().any(Envoy::has_ended) || Instant::now() > deadline {
                return Err(Error::NotServing {
                    variant: self.name.clone(),
                    log: format!("{fault}\n{}", self.log()),
                });
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Records that a connection through it failed.
    pub(crate) fn fault(&self, fault: &io::Error) -> Error {
        Error::Load {
            variant: self.name.clone(),
            fault: format!("{fault}\n{}", self.log()),
        }
    }

    fn log(&self) -> String {
        let logs: Vec<String> = self.envoys.iter().map(Envoy::log).collect();
        logs.join("\n")
    }

    fn cpu_times(&self) -> Result<Vec<Duration>, Error> {
        self.envoys.iter().map(Envoy::cpu_time).collect()
    }

    /// Waits, at most a tenth of a second, until its Envoys have done what is left of the work, and returns their CPU
    /// times.
    fn settled(&self) -> Result<Vec<Duration>, Error> {
        let mut last = self.cpu_times()?;
        for _ in 0..20 {
            thread::sleep(Duration::from_millis(5));
            let now = self.cpu_times()?;
            if total(&now).saturating_sub(total(&last)) < Duration::from_micros(200) {
                return Ok(now);
            }
            last = now;
        }
        Ok(last)
    }

    fn ticks(&self) -> Result<[f64; 2], Error> {
        self.envoys.iter().try_fold([0.0, 0.0], |[user, kernel], envoy| {
            let [more_user, more_kernel] = envoy.ticks()?;
            Ok([user + more_user, kernel + more_kernel])
        })
    }
}

fn total(times: &[Duration]) -> Duration {
    times.iter().sum()
}

/// What was done in a round.
#[derive(Debug)]
pub(crate) struct Done {
    units: u64,
    /// How long each unit took, where that was taken down.
    latencies: Vec<Duration>,
}

impl Done {
    pub(crate) fn units(units: u64) -> Self {
        Self {
            units,
            latencies: Vec::new(),
        }
    }

    pub(crate) fn each(latencies: Vec<Duration>) -> Self {
        Self {
            units: latencies.len() as u64,
            latencies,
        }
    }
}

/// Prepares a round, and returns what is measured of it.
pub(crate) type Work = dyn for<'a> Fn(&'a [SocketAddr]) -> io::Result<Box<dyn FnOnce() -> io::Result<Done> + 'a>>;

/// Measures all subjects in interleaved rounds; `bases` says which one's row each is compared with.
#[allow(clippy::cast_precision_loss, reason = "counts are small")]
pub(crate) fn run(subjects: &[Subject], bases: &[usize], rounds: u16, work: &Work) -> Result<Vec<Row>, Error> {
    let mut rows: Vec<Row> = subjects
        .iter()
        .zip(bases)
        .map(|(subject, &base)| Row {
            name: subject.name.clone(),
            base,
            samples: Vec::new(),
            kernel: f64::NAN,
            idle: f64::NAN,
        })
        .collect();
    // What each spends while it is not its turn.
    let mut rest = vec![(Duration::ZERO, Duration::ZERO); subjects.len()];
    let mut last: Vec<Option<(Duration, Instant)>> = vec![None; subjects.len()];
    let before = subjects.iter().map(Subject::ticks).collect::<Result<Vec<_>, _>>()?;
    let rounds = WARM_UP + usize::from(rounds);
    for round in 0..rounds {
        if io::stderr().is_terminal() {
            eprint!("\rround {} of {rounds}", round + 1);
        }
        for turn in 0..subjects.len() {
            // Each starts once, and each has either neighbour before it.
            let turn = (turn + round / 2) % subjects.len();
            let index = if round % 2 == 0 {
                turn
            } else {
                subjects.len() - 1 - turn
            };
            let subject = &subjects[index];
            let idle = subject.cpu_times()?;
            if let Some((since, at)) = last[index] {
                rest[index].0 += total(&idle).saturating_sub(since);
                rest[index].1 += at.elapsed();
            }
            let work = work(&subject.destinations).map_err(|fault| subject.fault(&fault))?;
            let cpu = subject.settled()?;
            let start = Instant::now();
            let done = work().map_err(|fault| subject.fault(&fault))?;
            let took = start.elapsed();
            let after = subject.settled()?;
            last[index] = Some((total(&after), Instant::now()));
            if round >= WARM_UP {
                let units = done.units as f64;
                let spent = after
                    .iter()
                    .zip(&cpu)
                    .map(|(after, before)| after.saturating_sub(*before));
                let cpus: Vec<f64> = spent.map(|spent| spent.as_secs_f64() * 1e6 / units).collect();
                rows[index].samples.push(Sample {
                    cpu: cpus.iter().sum(),
                    cpus,
                    rate: units / took.as_secs_f64(),
                    latencies: [50, 99].map(|percent| percentile(&done.latencies, percent)),
                });
            }
        }
    }
    eprintln!();
    for (row, (spent, time)) in rows.iter_mut().zip(rest) {
        row.idle = spent.as_secs_f64() * 1e6 / time.as_secs_f64();
    }
    for ((row, subject), before) in rows.iter_mut().zip(subjects).zip(before) {
        let [user, kernel] = subject.ticks()?;
        let [user, kernel] = [user - before[0], kernel - before[1]];
        row.kernel = kernel / (user + kernel);
    }
    Ok(rows)
}

/// Returns a percentile in milliseconds.
fn percentile(latencies: &[Duration], percent: usize) -> f64 {
    let mut latencies = latencies.to_vec();
    latencies.sort();
    let index = latencies.len() * percent / 100;
    latencies
        .get(index)
        .map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
}
