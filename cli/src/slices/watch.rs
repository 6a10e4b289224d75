//! `ssa slices watch`.

use std::time::{Duration, Instant};

use super::{
    status::{Picture, Set},
    stored::{StoreArgs, now},
};
use crate::{
    Outcome,
    counts::counted,
    failure::{Failure, Faults},
    input::number,
    output::Output,
};

/// How often the store is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// The widest bar, in columns: an endpoint with all slices.
const WIDEST: f64 = 40.0;

const EXAMPLES: &str = "\
On a terminal with colour the picture is drawn anew; elsewhere each change is a line. Ctrl-C ends it.

Examples:
  ssa slices watch --store /var/lib/ssa
  ssa slices watch --store /var/lib/ssa --for 60

Exit codes: those of ssa slices status, for what there was at the end of --for.";

/// Shows shares and open moves as they change
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Ends after so long
    #[arg(long = "for", value_name = "SECONDS")]
    limit: Option<String>,
    #[command(flatten)]
    store: StoreArgs,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Outcome, Failure> {
    let mut faults = Faults::default();
    let limit = args.limit.as_deref();
    let limit = limit.and_then(|text| number("--for", text, 1_u32, 86_400, &mut faults));
    if out.is_json() {
        faults.push(
            "--json",
            "a picture that changes is no document; use `ssa slices status --json`",
        );
    }
    faults.check()?;
    let limit = limit.map(|seconds| Duration::from_secs(seconds.into()));
    let opened = args.store.open()?;
    let (began, mut before) = (Instant::now(), Vec::new());
    loop {
        let mut faults = Faults::default();
        let stored = opened.read(&mut faults)?;
        let picture = Picture::new(&stored, now(), faults);
        if out.is_live() {
            out.put("\u{1b}[H\u{1b}[J");
            picture.print(out);
            out.line("");
            picture.sets.iter().for_each(|set| bars(set, out));
            for fault in &picture.faults {
                out.line(ssa_input::text::clean(&format!("{}: {}", fault.place, fault.message)));
            }
        } else {
            let lines = lines(&picture);
            lines
                .iter()
                .filter(|line| !before.contains(*line))
                .for_each(|line| out.line(line));
            before = lines;
        }
        out.flush();
        if out.is_closed() || limit.is_some_and(|limit| began.elapsed() >= limit) {
            return Ok(picture.outcome());
        }
        opened.runtime.block_on(async { tokio::time::sleep(LOOK).await });
    }
}

/// Draws each endpoint's share.
fn bars(set: &Set, out: &mut Output) {
    let names = set.endpoints.iter().map(|one| one.name.len()).max().unwrap_or(0);
    for one in &set.endpoints {
        let length = format!("{:.0}", one.share * WIDEST).parse().unwrap_or(0);
        let bar = "█".repeat(length);
        out.line(format_args!("{:<names$}  {bar} {:.2} %", one.name, one.share * 100.0));
    }
}

/// Returns what there is, in lines that change only with it.
fn lines(picture: &Picture) -> Vec<String> {
    let mut lines = Vec::new();
    for set in &picture.sets {
        let shares = set.endpoints.iter().map(|one| format!("{} {}", one.name, one.owned));
        let shares = shares.collect::<Vec<_>>().join(", ");
        lines.push(format!(
            "{}: slices: {shares}; {}",
            set.name,
            counted(set.moves.len(), "open move")
        ));
        for one in &set.endpoints {
            let drained = if one.drained { ", drained" } else { "" };
            lines.push(format!("{}: {} is {}{drained}", set.name, one.name, one.state.told()));
        }
        for one in &set.moves {
            let from = one.from.as_deref().unwrap_or("nobody");
            let slices = counted(one.slices, "slice");
            lines.push(format!(
                "move {}: {from} to {}, {slices}, {:?}",
                one.name, one.to, one.phase
            ));
        }
    }
    let faults = picture.faults.iter();
    lines.extend(
        faults.map(|fault| ssa_input::text::clean(&format!("{}: {}", fault.place, fault.message)).into_owned()),
    );
    if lines.is_empty() {
        lines.push("no slice sets".to_owned());
    }
    lines
}
