//! The tables, and the bars that are checked.

/// What one round gave.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// The CPU time of all its Envoys for one unit, in microseconds.
    pub(crate) cpu: f64,
    /// The same of each.
    pub(crate) cpus: Vec<f64>,
    /// Units in a second.
    pub(crate) rate: f64,
    /// How long a unit took, in milliseconds: the median and the 99th percentile, where that was taken down.
    pub(crate) latencies: [f64; 2],
}

/// A variant's rounds.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// Which row its ratios are to.
    pub(crate) base: usize,
    pub(crate) samples: Vec<Sample>,
    /// The share of the CPU time that was spent in the kernel, of the whole run.
    pub(crate) kernel: f64,
    /// The CPU time in a second without work, in microseconds.
    pub(crate) idle: f64,
}

/// A median, with the least and the most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    /// Between these two the true median lies with a confidence of 95 %: the sign test's interval.
    sure: [f64; 2],
    least: f64,
    most: f64,
}

impl Spread {
    pub(crate) fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let at = |index: usize| figures.get(index).copied().unwrap_or(f64::NAN);
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small count, and its root"
        )]
        let aside = (0.98 * (figures.len() as f64).sqrt()).ceil() as usize;
        let middle = figures.len() / 2;
        Self {
            median: at(middle),
            sure: [
                at(middle.saturating_sub(aside)),
                at((middle + aside).min(figures.len().saturating_sub(1))),
            ],
            least: at(0),
            most: at(figures.len().wrapping_sub(1)),
        }
    }

    pub(crate) fn show(self, decimals: usize) -> String {
        let Self {
            median, least, most, ..
        } = self;
        format!("{median:.decimals$} ({least:.decimals$}..{most:.decimals$})")
    }

    /// Shows the median with the interval that holds the true one with a confidence of 95 %.
    pub(crate) fn show_interval(self, decimals: usize) -> String {
        let Self {
            median,
            sure: [from, to],
            ..
        } = self;
        format!("{median:.decimals$} ({from:.decimals$}..{to:.decimals$})")
    }

    /// Shows the median and how sure it is.
    pub(crate) fn show_sure(self, decimals: usize) -> String {
        let Self {
            median,
            sure: [from, to],
            ..
        } = self;
        format!("{median:.decimals$}, 95 % sure {from:.decimals$}..{to:.decimals$}")
    }
}

/// Returns, by round, how much more row `of` took than row `than`, as a share of row `base`.
pub(crate) fn difference(rows: &[Row], of: usize, than: usize, base: usize) -> Spread {
    let [of, than, base] = [of, than, base].map(|row| rows[row].samples.iter().map(|sample| sample.cpu));
    Spread::of(of.zip(than).zip(base).map(|((of, than), base)| (of - than) / base))
}

/// Returns, by round, a figure of row `of` as a share of the same of row `than`.
pub(crate) fn ratio(rows: &[Row], of: usize, than: usize, figure: impl Fn(&Sample) -> f64) -> Spread {
    let [of, than] = [of, than].map(|row| rows[row].samples.iter().map(&figure));
    Spread::of(of.zip(than).map(|(of, than)| of / than))
}

/// Prints a table: ratios first, each round's to the same round of the row's base.
pub(crate) fn print(title: &str, unit: &str, rows: &[Row]) {
    println!("{title}");
    println!(
        "{:<44} {:>20} {:>8} {:>24} {:>7} {:>22} {:>10}",
        "",
        "x tcp_proxy alone",
        "more µs",
        format!("µs CPU per {unit}"),
        "kernel",
        format!("{unit}s/s"),
        "idle µs/s"
    );
    for row in rows {
        let base = &rows[row.base].samples;
        let ratio = Spread::of(row.samples.iter().zip(base).map(|(own, base)| own.cpu / base.cpu));
        let more = Spread::of(row.samples.iter().zip(base).map(|(own, base)| own.cpu - base.cpu));
        println!(
            "{:<44} {:>20} {:>8.2} {:>24} {:>6.0}% {:>22} {:>10.0}",
            row.name,
            ratio.show(3),
            more.median,
            Spread::of(row.samples.iter().map(|sample| sample.cpu)).show(2),
            row.kernel * 100.0,
            Spread::of(row.samples.iter().map(|sample| sample.rate)).show(0),
            row.idle,
        );
    }
    println!();
}

/// Prints a table of a client's and a server's sidecar in a row: CPU time of both and of each, rate and latencies, and
/// how many upstream connections each opened for a thousand requests.
pub(crate) fn print_chained(title: &str, unit: &str, rows: &[Row], opened: &[Vec<f64>]) {
    println!("{title}");
    println!(
        "{:<34} {:>20} {:>20} {:>22} {:>17} {:>20} {:>18} {:>18}",
        "",
        "x CPU",
        "x rate",
        format!("µs CPU per {unit}"),
        "client's, server's",
        format!("{unit}s/s"),
        "p50, p99 ms",
        "opened per 1000"
    );
    for ((number, row), opened) in rows.iter().enumerate().zip(opened) {
        let all = |figure: &dyn Fn(&Sample) -> f64| Spread::of(row.samples.iter().map(figure));
        let pair = |figures: &dyn Fn(&Sample, usize) -> f64, decimals: usize| {
            let [one, two] = [0, 1].map(|place| all(&|sample| figures(sample, place)).median);
            format!("{one:.decimals$}, {two:.decimals$}")
        };
        println!(
            "{:<34} {:>20} {:>20} {:>22} {:>17} {:>20} {:>18} {:>18}",
            row.name,
            ratio(rows, number, row.base, |sample| sample.cpu).show_interval(3),
            ratio(rows, number, row.base, |sample| sample.rate).show_interval(3),
            all(&|sample| sample.cpu).show_interval(1),
            pair(&|sample, place| sample.cpus.get(place).copied().unwrap_or(f64::NAN), 1),
            all(&|sample| sample.rate).show_interval(0),
            pair(&|sample, place| sample.latencies[place], 2),
            opened
                .iter()
                .map(|opened| format!("{opened:.1}"))
                .collect::<Vec<_>>()
                .join(", ")
        );
    }
    println!();
}
