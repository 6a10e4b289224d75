//! Rules: which packets ask which table.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::Ipv6Net;
use rtnetlink::IpVersion;
use rtnetlink::packet_route::route::RouteProtocol;
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};

use super::error::Protocol;
use super::netlink::{EEXIST, ENOENT, Netlink, collect, is};
use super::{Error, PROTOCOL, Settings, links, mark, preference, table};

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rule {
    preference: u32,
    mark: Option<u32>,
    interface: Option<String>,
    to: Option<Ipv6Net>,
    /// The table to ask, or none to drop.
    table: Option<u32>,
}

/// Returns the rules of an endpoint.
pub(super) fn wanted(settings: &Settings) -> BTreeSet<Rule> {
    let marked = [
        (preference::OUTGOING, mark::OUTGOING, table::OUTGOING),
        (preference::INCOMING, mark::INCOMING, table::INCOMING),
        (preference::FINAL_INCOMING, mark::FINAL, table::FINAL_INCOMING),
        (preference::FINAL_OUTGOING, mark::FINAL, table::FINAL_OUTGOING),
        (preference::FINAL_OUTGOING, mark::FINAL_OUTGOING, table::FINAL_OUTGOING),
    ];
    let mut rules: BTreeSet<Rule> = marked
        .into_iter()
        .map(|(preference, mark, table)| Rule {
            preference,
            mark: Some(mark),
            interface: None,
            to: None,
            table: Some(table),
        })
        .collect();
    let tunnels = links::NAMES.iter().map(|name| (*name).to_owned());
    for interface in settings.interfaces.iter().cloned().chain(tunnels) {
        rules.insert(Rule {
            preference: preference::LOCAL,
            mark: None,
            interface: Some(interface.clone()),
            to: None,
            table: Some(table::LOCAL),
        });
        rules.extend(settings.allowed.iter().map(|prefix| Rule {
            preference: preference::NOBODY,
            mark: None,
            interface: Some(interface.clone()),
            to: Some(*prefix),
            table: None,
        }));
    }
    rules
}

/// Makes the kernel have exactly these rules, as far as they are ours. Returns how many were missing or too many.
pub(super) async fn reconcile(netlink: &Netlink, wanted: &BTreeSet<Rule>) -> Result<usize, Error> {
    let current: Vec<(Option<Rule>, RuleMessage)> = ours(netlink).await?;
    let mut changed = 0;
    for rule in wanted {
        if !current.iter().any(|(found, _)| found.as_ref() == Some(rule)) {
            add(netlink, rule).await?;
            changed += 1;
        }
    }
    let mut kept = BTreeSet::new();
    for (found, message) in current {
        if let Some(rule) = found
            && wanted.contains(&rule)
            && kept.insert(rule)
        {
            continue;
        }
        changed += 1;
        let preference = parse(&message).preference;
        match netlink.handle.rule().del(message).execute().await {
            Err(error) if Error::number(&error) != Some(ENOENT) => {
                return Err(Error::Netlink {
                    what: format!("remove rule {preference}"),
                    source: error,
                });
            }
            _ => {}
        }
    }
    Ok(changed)
}

/// Says whose a rule is that is in the way: one of a preference, a table or a mark that is needed here.
pub(super) async fn refuse_foreign(netlink: &Netlink) -> Result<(), Error> {
    for message in dump(netlink).await? {
        let protocol = protocol(&message);
        let rule = parse(&message);
        if protocol == PROTOCOL {
            continue;
        }
        let table = rule.table.filter(|table| table::OWN.contains(table));
        let mask = message.attributes.iter().find_map(|attribute| match attribute {
            RuleAttribute::FwMask(mask) => Some(*mask),
            _ => None,
        });
        // A rule without a mark asks nothing of it; one for the mark 0 is for packets without one.
        let marked = rule.mark.filter(|mark| *mark != 0).and_then(|wanted| {
            let marks = [mark::OUTGOING, mark::INCOMING, mark::FINAL, mark::FINAL_OUTGOING];
            marks.into_iter().find(|mark| mark & mask.unwrap_or(u32::MAX) == wanted)
        });
        let what = if (preference::OUTGOING..=preference::NOBODY).contains(&rule.preference) {
            format!(
                "has a preference from {} to {}, which must have rules of protocol {PROTOCOL} alone",
                preference::OUTGOING,
                preference::NOBODY
            )
        } else if let Some(table) = table {
            format!("leads to table {table}, which must be led to by rules of protocol {PROTOCOL} alone")
        } else if let Some(mark) = marked {
            format!("is for packets with mark {mark}, which must be that of packets to peers alone")
        } else {
            continue;
        };
        return Err(Error::ForeignRule {
            preference: rule.preference,
            protocol: Protocol(protocol),
            what,
        });
    }
    Ok(())
}

async fn dump(netlink: &Netlink) -> Result<Vec<RuleMessage>, Error> {
    let rules = netlink.handle.rule().get(IpVersion::V6).execute();
    collect("list the rules".to_owned(), rules).await
}

/// Lists the rules that are ours; those that were never set here have no value.
async fn ours(netlink: &Netlink) -> Result<Vec<(Option<Rule>, RuleMessage)>, Error> {
    let ours = dump(netlink)
        .await?
        .into_iter()
        .filter(|rule| protocol(rule) == PROTOCOL);
    Ok(ours.map(|message| (Some(parse(&message)), message)).collect())
}

async fn add(netlink: &Netlink, rule: &Rule) -> Result<(), Error> {
    let mut request = netlink.handle.rule().add().v6().priority(rule.preference);
    if let Some(mark) = rule.mark {
        request = request.fw_mark(mark);
    }
    if let Some(interface) = &rule.interface {
        request = request.input_interface(interface);
    }
    if let Some(to) = rule.to {
        request = request.destination_prefix(to.addr(), to.prefix_len());
    }
    request = match rule.table {
        Some(table) => request.table_id(table).action(RuleAction::ToTable),
        None => request.action(RuleAction::Blackhole),
    };
    let message = request.message_mut();
    if rule.table.is_none_or(|table| table > 255) {
        message.header.table = 0;
    }
    message
        .attributes
        .push(RuleAttribute::Protocol(RouteProtocol::from(PROTOCOL)));
    let added = request.execute().await.map_err(|source| Error::Netlink {
        what: format!("add rule {}", rule.preference),
        source,
    });
    match added {
        Err(error) if is(&error, EEXIST) => Ok(()),
        other => other,
    }
}

fn protocol(message: &RuleMessage) -> u8 {
    let found = message.attributes.iter().find_map(|attribute| match attribute {
        RuleAttribute::Protocol(protocol) => Some(u8::from(*protocol)),
        _ => None,
    });
    found.unwrap_or(0)
}

fn parse(message: &RuleMessage) -> Rule {
    let mut rule = Rule {
        preference: 0,
        mark: None,
        interface: None,
        to: None,
        table: None,
    };
    let mut table = u32::from(message.header.table);
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Priority(number) => rule.preference = *number,
            RuleAttribute::FwMark(mark) => rule.mark = Some(*mark),
            RuleAttribute::Iifname(name) => rule.interface = Some(name.clone()),
            RuleAttribute::Destination(IpAddr::V6(address)) => {
                rule.to = Ipv6Net::new(*address, message.header.dst_len).ok();
            }
            RuleAttribute::Table(number) => table = *number,
            _ => {}
        }
    }
    if message.header.action == RuleAction::ToTable {
        rule.table = Some(table);
    }
    rule
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_every_rule() {
        let page = include_str!("../../../docs/agent.md");
        let settings = Settings {
            interfaces: vec!["eth0".to_owned()],
            tunnel: std::net::Ipv6Addr::LOCALHOST,
            allowed: vec!["2001:db8::/64".parse().expect("a prefix")],
        };
        for rule in wanted(&settings) {
            let start = format!("| rule {} |", rule.preference);
            let line = page
                .lines()
                .find(|line| line.starts_with(&start))
                .unwrap_or_else(|| panic!("no {start}"));
            let mark = rule
                .mark
                .map_or_else(|| "`iif`".to_owned(), |mark| format!("`fwmark {mark}`"));
            let table = rule
                .table
                .map_or_else(|| "dropped".to_owned(), |table| format!("to table {table} |"));
            assert!(line.contains(&mark) && line.contains(&table), "{rule:?}: {line}");
        }
    }
}
