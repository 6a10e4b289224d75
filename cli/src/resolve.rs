//! `ssa resolve`: what an SSA client understands of a name, and why not where it does not.

use std::{borrow::Cow, net::Ipv6Addr};

use serde::Serialize;
use serde_json::{Value, json};
use ssa_dns::{self as dns, RecordSet, Resolution};
use ssa_input::text::clean;
use ssa_rules::{
    AddressSpace, Membership, Record, UnixTime,
    published::{Candidate, Party, Publication},
};

use crate::{
    Outcome,
    counts::counted,
    failure::{Failure, Fault, Faults, Rendered},
    input::{Keys, NameArgs, Service, now, number, unanswered},
    output::Output,
    published,
    style::{self, paint},
};

const EXAMPLES: &str = "\
Asks for APL at the name, TXT at `_ssa.` and the canonical name (where aliases lead), and AAAA, by UDP with EDNS, and \
without EDNS or by TCP where that does not do. The name is absolute; search domains do not apply, nothing is cached, and signatures \
are not validated here. TTLs are in seconds.

Examples:
  ssa resolve store.example
  ssa resolve store.example --server 192.0.2.53:53
  ssa resolve store.example --server [2001:db8::53]:5353 --json
  ssa resolve store.example --server fe80::53%eth0

Exit codes: 0 a client finds a usable record that is in force; 1 it does not, and falls back to a plain connection; \
2 usage, or the DNS gives no answer (timeout, SERVFAIL, a referral, …).";

/// Asks the DNS what a service publishes, and says what a client understands of it
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The service's name; it is absolute, with or without a dot at its end
    #[arg(value_name = "NAME")]
    name: String,
    /// Which record is in force at this time, in seconds since 1970 (UTC) [default: now]
    #[arg(long, value_name = "UNIX")]
    time: Option<String>,
    #[command(flatten)]
    server: NameArgs,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Outcome, Failure> {
    let mut faults = Faults::default();
    let name = faults.take("NAME", dns::name(&args.name));
    let time = args
        .time
        .as_deref()
        .map(|text| number("--time", text, 0, u64::MAX, &mut faults).map(UnixTime));
    let servers = args.server.read(&mut faults);
    faults.check()?;
    let (Some(name), Some(servers)) = (name, servers) else {
        return Err(Failure::input("command line", "incomplete"));
    };
    let time = time.flatten().unwrap_or_else(now);
    let resolution = dns::resolve(&name, &servers).map_err(|error| unanswered(&error))?;
    let view = View::new(resolution, time);
    if out.is_json() {
        out.json(&view.json());
    } else {
        view.print(out);
    }
    Ok(if view.is_usable() {
        Outcome::Fine
    } else {
        Outcome::NotFine
    })
}

/// What a client understands.
struct View {
    service: Result<(Service, Publication), Vec<Fault>>,
    names: Names,
    apl: Vec<String>,
    apl_set: Value,
    apl_state: String,
    txt_set: Value,
    txt_state: String,
    aaaa_state: String,
    other_txt: usize,
    aaaa: Vec<Ipv6Addr>,
    time: UnixTime,
}

#[derive(Serialize)]
struct Names {
    name: String,
    canonical: String,
    rule_name: String,
}

/// What an address for legacy devices meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Legacy {
    /// It lies in a negated item: legacy traffic.
    Kept,
    /// It lies in a positive item, and the rule leaves every address open.
    Open,
    /// It lies in a positive item, and the rule refuses it.
    Refused,
    /// It lies in no item: no rule speaks of it.
    Outside,
    /// There is no usable rule to judge by.
    Unknown,
}

impl Legacy {
    const fn name(self) -> &'static str {
        match self {
            Self::Kept => "legacy",
            Self::Open => "open",
            Self::Refused => "refused",
            Self::Outside => "outside",
            Self::Unknown => "unknown",
        }
    }

    const fn remark(self) -> &'static str {
        match self {
            Self::Kept => "fine: in a negated item kept for legacy devices",
            Self::Open => "fine: in a positive item, and every address is open",
            Self::Refused => "the rule does not leave every address open: verifiers refuse most legacy devices",
            Self::Outside => "in no item of the address list: no verifier takes it for this service",
            Self::Unknown => "no usable rule to judge by",
        }
    }

    const fn style(self) -> anstyle::Style {
        match self {
            Self::Kept | Self::Open => style::GOOD,
            Self::Refused | Self::Outside => style::WARN,
            Self::Unknown => style::DIM,
        }
    }
}

fn state<T>(set: &RecordSet<T>) -> String {
    let ttl = set.ttl.map_or_else(String::new, |ttl| format!(", TTL {ttl} s"));
    match set.absence {
        Some(absence) => format!("none ({})", absence.name()),
        None => format!("{}{ttl}", counted(set.records.len(), "record")),
    }
}

fn state_json<T>(set: &RecordSet<T>) -> Value {
    json!({ "count": set.records.len(), "ttl": set.ttl, "absence": set.absence.map(dns::Absence::name) })
}

impl View {
    fn new(resolution: Resolution, time: UnixTime) -> Self {
        let apl = resolution.apl.records.iter().map(|apl| match apl {
            Ok(apl) => apl.to_string(),
            Err(error) => error.to_string(),
        });
        let names = Names {
            name: resolution.name.to_utf8(),
            canonical: resolution.canonical.to_utf8(),
            rule_name: resolution.rule_name.to_utf8(),
        };
        let counting = resolution.txt.records.iter().filter(|txt| Record::counts(txt)).count();
        let aaaa = resolution.aaaa.records.clone();
        Self {
            apl: apl.collect(),
            apl_set: state_json(&resolution.apl),
            apl_state: state(&resolution.apl),
            txt_set: state_json(&resolution.txt),
            txt_state: state(&resolution.txt),
            aaaa_state: state(&resolution.aaaa),
            other_txt: resolution.txt.records.len() - counting,
            names,
            service: Service::of_name(resolution)
                .map_err(|failure| failure.faults)
                .map(|service| {
                    let publication = service.publication(Party::Client, &Keys::default());
                    (service, publication)
                }),
            aaaa,
            time,
        }
    }

    fn publication(&self) -> Option<&Publication> {
        self.service.as_ref().ok().map(|(_, publication)| publication)
    }

    /// Returns the SSA records, each with its text.
    fn candidates(&self) -> impl Iterator<Item = (&Candidate, String)> {
        let of = |found: &(Service, Publication)| found.0.texts();
        let texts = self.service.as_ref().map_or_else(|_| Vec::new(), of);
        let candidates = self
            .publication()
            .map_or(&[][..], |publication| &publication.candidates);
        candidates.iter().zip(texts)
    }

    /// Returns the record in force.
    fn in_force(&self) -> Option<&Record> {
        let publication = self.publication()?;
        let rule = publication.set.as_ref().ok()?.client_rule(self.time)?;
        published::record_of(publication, rule.from())
    }

    fn is_usable(&self) -> bool {
        self.in_force().is_some()
    }

    /// Returns the addresses of the service as a client sees them.
    fn space(&self) -> Option<Cow<'_, AddressSpace>> {
        let publication = self.publication()?;
        let published = publication.space.as_ref().ok()?.as_ref();
        match self.in_force() {
            Some(record) => record.space(published),
            None => published.map(Cow::Borrowed),
        }
    }

    fn legacy(&self, address: Ipv6Addr) -> Legacy {
        match (self.in_force(), self.space()) {
            (Some(record), Some(space)) => match space.membership(address) {
                Membership::Legacy(_) => Legacy::Kept,
                Membership::Outside => Legacy::Outside,
                Membership::Service(_) if record.is_open() => Legacy::Open,
                Membership::Service(_) => Legacy::Refused,
            },
            _ => Legacy::Unknown,
        }
    }

    /// Returns every fault that keeps records from being used.
    fn faults(&self) -> Vec<Fault> {
        match &self.service {
            Err(faults) => faults.clone(),
            Ok((service, publication)) => published::faults(service, publication),
        }
    }

    /// Returns what the name comes to.
    fn verdict(&self) -> String {
        let Some(publication) = self.publication() else {
            return "the APL is invalid: no record is usable; fall back to a plain connection".into();
        };
        if self.in_force().is_some() {
            return "usable".into();
        }
        if publication.candidates.is_empty() {
            let which = match self.apl_set["count"].as_u64() {
                Some(0) if self.apl_set["absence"] == dns::Absence::NoName.name() => {
                    "the name does not exist (NXDOMAIN)"
                }
                Some(0) => "neither APL nor SSA record",
                _ => "an APL, but no SSA record",
            };
            return format!("{which}: not an SSA service; fall back to a plain connection");
        }
        match published::next_start(publication, self.time) {
            Some(from) => format!("no record is in force before {from}; until then fall back to a plain connection"),
            None => "no record is usable; fall back to a plain connection".into(),
        }
    }

    /// Returns whether a record is used.
    fn role_of(&self, candidate: &Candidate) -> (&'static str, anstyle::Style) {
        let set_stands = self.publication().is_some_and(|publication| publication.set.is_ok());
        match (&candidate.rule, self.in_force()) {
            (Ok(_), _) if !set_stands => ("unusable", style::BAD),
            (Err(_), _) => ("unusable", style::BAD),
            (Ok(rule), Some(record)) if rule.from() == record.from() => ("in force", style::GOOD),
            (Ok(rule), _) if rule.from().0 > self.time.0 => ("later", style::WARN),
            (Ok(_), _) => ("superseded", style::DIM),
        }
    }

    fn json(&self) -> Value {
        let records = self.candidates().map(|(candidate, text)| {
            let record = candidate.record.as_ref().ok();
            let faults = candidate.rule.as_ref().err();
            let faults = faults.map(|error| published::unusable_faults("record", &text, error));
            json!({
                "text": text,
                "state": self.role_of(candidate).0.replace(' ', "_"),
                "canonical": record.map(ToString::to_string),
                "from": record.map(|record| record.from().0),
                "faults": faults.unwrap_or_default(),
            })
        });
        let records: Vec<Value> = records.collect();
        let space = self.space().map(|space| {
            let list = |items: &[ipnet::Ipv6Net]| items.iter().map(ToString::to_string).collect::<Vec<_>>();
            json!({ "positive": list(space.positive()), "negated": list(space.negated()) })
        });
        let aaaa = self.aaaa.iter().map(|address| {
            let legacy = self.legacy(*address);
            json!({ "address": address.to_string(), "class": legacy.name(), "remark": legacy.remark() })
        });
        let aaaa: Vec<Value> = aaaa.collect();
        json!({
            "name": self.names.name,
            "canonical": self.names.canonical,
            "rule_name": self.names.rule_name,
            "usable": self.is_usable(),
            "verdict": self.verdict(),
            "time": self.time.0,
            "apl": { "answer": self.apl_set, "records": self.apl },
            "txt": { "answer": self.txt_set, "ignored": self.other_txt },
            "space": space,
            "record": self.in_force().map(ToString::to_string),
            "needs": self.in_force().map(published::needs),
            "next_from": self.publication().and_then(|set| published::next_start(set, self.time)).map(|from| from.0),
            "records": records,
            "aaaa": aaaa,
            "faults": self.faults(),
        })
    }

    fn print(&self, out: &mut Output) {
        let mut line = |name: &str, text: &dyn std::fmt::Display| {
            out.line(format_args!("{} {text}", paint(style::HEADING, format!("{name:<10}"))));
        };
        line("name", &self.names.name);
        if self.names.canonical != self.names.name {
            line("canonical", &self.names.canonical);
        }
        let verdict = if self.is_usable() { style::GOOD } else { style::BAD };
        line("verdict", &paint(verdict, self.verdict()));
        line("APL", &self.apl_state);
        for apl in &self.apl {
            line("", apl);
        }
        if let Some(space) = self.space() {
            let own = if self.apl.is_empty() {
                " (the record's own list)"
            } else {
                ""
            };
            for (index, item) in space.positive().iter().enumerate() {
                line(if index == 0 { "space" } else { "" }, &format!("{item}{own}"));
            }
            for item in space.negated() {
                line("", &format!("!{item}  kept for legacy devices"));
            }
        }
        let ignored = if self.other_txt > 0 {
            format!(", {} of them no SSA records: ignored", self.other_txt)
        } else {
            String::new()
        };
        line("TXT", &format!("{}: {}{ignored}", self.names.rule_name, self.txt_state));
        if let Some(publication) = self.publication() {
            for (candidate, text) in self.candidates() {
                let (role, style) = self.role_of(candidate);
                let text = candidate
                    .record
                    .as_ref()
                    .map_or_else(|_| clean(&text).into_owned(), ToString::to_string);
                line("", &format!("{} {text}", paint(style, format!("{role:<10}"))));
            }
            if let Some(record) = self.in_force() {
                line("needs", &published::needs(record).join(", "));
            }
            if let Some(from) = published::next_start(publication, self.time) {
                line("next", &format!("from={from}, in {} s", from.0 - self.time.0));
            }
        }
        line("AAAA", &self.aaaa_state);
        for address in &self.aaaa {
            let legacy = self.legacy(*address);
            line("", &format!("{address}  {}", paint(legacy.style(), legacy.remark())));
        }
        let faults = self.faults();
        if !faults.is_empty() {
            out.line("");
            out.put(Rendered(&faults));
        }
    }
}
