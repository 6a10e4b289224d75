//! What the VMs of one process know of each other: each one's number, and gauges over all of them.
//!
//! Envoy's gauges are one for the process, so what is to be shown over its workers is put together first: every VM
//! keeps a line of its own in a table that they share, and shows the least, greatest and sum over the lines of those
//! that live.
//!
//! ```text
//!  0         8              16                        24       28
//! +---------+--------------+-------------------------+--------+
//! | number  | seen, s      | snapshot confirmed, s   | held   |   one VM, big-endian
//! +---------+--------------+-------------------------+--------+
//! ```

use crate::host::{Refused, SharedData, Version};

/// The bytes of a VM's line.
const LINE: usize = 28;

/// The most VMs in the table; Envoy has one for each worker and two more.
pub const MAX_VMS: usize = 512;

/// A VM that was not seen for so many seconds is gone.
pub const GONE: u64 = 10;

/// How often a number is asked for again when another VM was quicker.
const ATTEMPTS: usize = 16;

/// What a VM tells of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its number.
    pub number: u64,
    /// The time, in seconds since 1970.
    pub seen: u64,
    /// When its snapshot was last known to be the newest; without one, since when it waits.
    pub confirmed: u64,
    /// How many connections it holds.
    pub held: u32,
}

/// What all VMs tell together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The least age of a snapshot, in seconds.
    pub youngest: u64,
    /// The greatest.
    pub oldest: u64,
    /// How many connections are held.
    pub held: u64,
}

/// Takes a number that no other VM of this process has; 0 where the proxy gives none.
pub fn number(host: &impl SharedData) -> u64 {
    for _ in 0..ATTEMPTS {
        let (bytes, version) = host.get_shared_data("ssa.vms").unwrap_or_default();
        let last = bytes.as_slice().try_into().map_or(0, u64::from_be_bytes);
        let next = last.wrapping_add(1);
        if host.set_shared_data("ssa.vms", &next.to_be_bytes(), version).is_ok() {
            return next;
        }
    }
    0
}

/// Puts a VM's report into the table of its role, and returns what all tell together.
///
/// # Errors
///
/// Another VM was quicker, or the proxy shares nothing: a later report will do.
pub fn report(host: &impl SharedData, role: &str, own: Report) -> Result<Summary, Refused> {
    let key = format!("ssa.{role}");
    let (bytes, version): (Vec<u8>, Version) = host.get_shared_data(&key).unwrap_or_default();
    let reports = living(&bytes, own);
    let table: Vec<u8> = reports.iter().flat_map(write).collect();
    host.set_shared_data(&key, &table, version)?;
    let ages = reports.iter().map(|report| own.seen.saturating_sub(report.confirmed));
    Ok(Summary {
        youngest: ages.clone().min().unwrap_or(0),
        oldest: ages.max().unwrap_or(0),
        held: reports.iter().map(|report| u64::from(report.held)).sum(),
    })
}

/// Returns the reports of the VMs in a table that live, and a VM's own as the last.
fn living(table: &[u8], own: Report) -> Vec<Report> {
    let others = table.chunks_exact(LINE).filter_map(read);
    let mut reports: Vec<Report> = others
        .filter(|other| other.number != own.number && other.seen.abs_diff(own.seen) < GONE)
        .take(MAX_VMS.saturating_sub(1))
        .collect();
    reports.push(own);
    reports
}

fn write(report: &Report) -> [u8; LINE] {
    let mut line = [0; LINE];
    let bytes = report
        .number
        .to_be_bytes()
        .into_iter()
        .chain(report.seen.to_be_bytes())
        .chain(report.confirmed.to_be_bytes())
        .chain(report.held.to_be_bytes());
    line.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
    line
}

fn read(line: &[u8]) -> Option<Report> {
    let (number, rest) = line.split_first_chunk()?;
    let (seen, rest) = rest.split_first_chunk()?;
    let (confirmed, rest) = rest.split_first_chunk()?;
    let (held, _) = rest.split_first_chunk()?;
    Some(Report {
        number: u64::from_be_bytes(*number),
        seen: u64::from_be_bytes(*seen),
        confirmed: u64::from_be_bytes(*confirmed),
        held: u32::from_be_bytes(*held),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_are_written() {
        let report = Report {
            number: 1 << 63,
            seen: 2,
            confirmed: 3,
            held: 4,
        };
        assert_eq!(read(&write(&report)), Some(report));
        assert_eq!(read(&[0; LINE - 1]), None);
    }

    fn vm(number: u64, seen: u64) -> Report {
        Report {
            number,
            seen,
            confirmed: seen,
            held: 1,
        }
    }

    #[test]
    fn a_vm_has_one_line_and_one_that_is_gone_has_none() {
        let table: Vec<u8> = [vm(1, 100), vm(2, 109), vm(3, 101)].iter().flat_map(write).collect();
        assert_eq!(living(&table, vm(3, 110)), [vm(2, 109), vm(3, 110)]);
    }

    #[test]
    fn the_table_ends_at_its_most_vms_and_has_room_for_the_own_line() {
        let mut table = Vec::new();
        for number in 1..=600 {
            let reports = living(&table, vm(number, 100));
            assert_eq!(reports.last(), Some(&vm(number, 100)));
            assert_eq!(reports.len(), usize::try_from(number).unwrap().min(MAX_VMS));
            table = reports.iter().flat_map(write).collect();
        }
        assert_eq!(table.len(), MAX_VMS * LINE);
        // Those that came first keep their lines.
        let again = living(&table, vm(1, 101));
        assert_eq!((again.len(), again.first()), (MAX_VMS, Some(&vm(2, 100))));
    }
}
