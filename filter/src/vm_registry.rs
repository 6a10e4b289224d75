//! Shared state of the VMs of one process: a number for each, and gauges over all of them.
//!
//! A gauge in Envoy is one for the process, so values are aggregated over its workers first: every VM has a record in a
//! shared table, and sets the gauges to the minimum, maximum or sum over the records of the VMs that are alive.
//!
//! ```text
//!  0         8              16                        24       28
//! +---------+--------------+-------------------------+--------+
//! | number  | seen, s      | snapshot confirmed, s   | held   |   one VM, big-endian
//! +---------+--------------+-------------------------+--------+
//! ```

use crate::host::{Refused, SharedData, Version};

/// The bytes of a VM's record.
const RECORD: usize = 28;

/// The most VMs in the table; Envoy has one for each worker and two more.
pub const MAX_VMS: usize = 512;

/// A VM that has not reported for so many seconds is not alive any more.
pub const EXPIRY_SECONDS: u64 = 10;

/// How often taking a number is tried, when other VMs take one at the same time.
const ATTEMPTS: usize = 16;

/// What a VM reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its number.
    pub number: u64,
    /// The time, in seconds since 1970.
    pub seen: u64,
    /// When its snapshot was last known to be the newest; without one, since when it has waited.
    pub confirmed: u64,
    /// How many connections it holds.
    pub held: u32,
}

/// The reports of all VMs, aggregated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The minimum age of a snapshot, in seconds.
    pub youngest: u64,
    /// The maximum.
    pub oldest: u64,
    /// How many connections are held.
    pub held: u64,
}

/// Takes a number that no other VM of this process has; 0 if the proxy shares no data.
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

/// Puts a VM's report into the table of its role, and returns all reports aggregated.
///
/// # Errors
///
/// Another VM reported at the same time, or the proxy shares no data: a later report will do.
pub fn report(host: &impl SharedData, role: &str, own: Report) -> Result<Summary, Refused> {
    let key = format!("ssa.{role}");
    let (bytes, version): (Vec<u8>, Version) = host.get_shared_data(&key).unwrap_or_default();
    let reports = alive(&bytes, own);
    let table: Vec<u8> = reports.iter().flat_map(write).collect();
    host.set_shared_data(&key, &table, version)?;
    let ages = reports.iter().map(|report| own.seen.saturating_sub(report.confirmed));
    Ok(Summary {
        youngest: ages.clone().min().unwrap_or(0),
        oldest: ages.max().unwrap_or(0),
        held: reports.iter().map(|report| u64::from(report.held)).sum(),
    })
}

/// Returns the reports of the VMs in a table that are alive, and a VM's own as the last.
fn alive(table: &[u8], own: Report) -> Vec<Report> {
    let others = table.chunks_exact(RECORD).filter_map(read);
    let mut reports: Vec<Report> = others
        .filter(|other| other.number != own.number && other.seen.abs_diff(own.seen) < EXPIRY_SECONDS)
        .take(MAX_VMS.saturating_sub(1))
        .collect();
    reports.push(own);
    reports
}

fn write(report: &Report) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    let bytes = report
        .number
        .to_be_bytes()
        .into_iter()
        .chain(report.seen.to_be_bytes())
        .chain(report.confirmed.to_be_bytes())
        .chain(report.held.to_be_bytes());
    record.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
    record
}

fn read(record: &[u8]) -> Option<Report> {
    let (number, rest) = record.split_first_chunk()?;
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
    fn records_are_read_as_they_are_written() {
        let report = Report {
            number: 1 << 63,
            seen: 2,
            confirmed: 3,
            held: 4,
        };
        assert_eq!(read(&write(&report)), Some(report));
        assert_eq!(read(&[0; RECORD - 1]), None);
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
    fn a_vm_has_one_record_and_one_that_is_not_alive_has_none() {
        let table: Vec<u8> = [vm(1, 100), vm(2, 109), vm(3, 101)].iter().flat_map(write).collect();
        assert_eq!(alive(&table, vm(3, 110)), [vm(2, 109), vm(3, 110)]);
    }

    #[test]
    fn the_table_is_bounded_and_has_room_for_the_own_record() {
        let mut table = Vec::new();
        for number in 1..=600 {
            let reports = alive(&table, vm(number, 100));
            assert_eq!(reports.last(), Some(&vm(number, 100)));
            assert_eq!(reports.len(), usize::try_from(number).unwrap().min(MAX_VMS));
            table = reports.iter().flat_map(write).collect();
        }
        assert_eq!(table.len(), MAX_VMS * RECORD);
        // The first ones keep their records.
        let again = alive(&table, vm(1, 101));
        assert_eq!((again.len(), again.first()), (MAX_VMS, Some(&vm(2, 100))));
    }
}
