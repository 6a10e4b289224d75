//! Users as the kernel shows them to this process, and what file modes let others than an owner do.

use std::os::unix::fs::MetadataExt;

use crate::reading;

/// The permissions that let others than a folder's owner make and replace files in it.
pub(crate) const WRITABLE_BY_OTHERS: u32 = 0o022;

/// The bit of a folder in which only a file's owner replaces it, as `/tmp` has it.
pub(crate) const STICKY: u32 = 0o1000;

/// The user and group that stand for all others which a user namespace does not map, unless the kernel says otherwise.
const OVERFLOW: u32 = 65_534;

/// The maximum size in bytes of a namespace's map: the kernel allows 340 lines.
const MAX_MAP: usize = 1 << 15;

/// Returns the user that the daemon runs as.
pub(crate) fn own_user() -> u32 {
    std::fs::metadata("/proc/self").map_or(u32::MAX, |found| found.uid())
}

/// Returns the user that stands for every user whom this process's user namespace does not map (`user_namespaces(7)`):
/// whoever it is, it says nothing of who somebody is. Nothing where that number is a user of its own.
pub(crate) fn overflow_user() -> Option<u32> {
    overflow("/proc/sys/kernel/overflowuid", "/proc/self/uid_map")
}

/// Returns whether a user is root or the daemon's own: nobody else decides for it.
pub(crate) fn is_own(user: u32) -> bool {
    user == 0 || user == own_user() && Some(user) != overflow_user()
}

/// Returns the group that stands for every group that is not mapped, likewise.
pub(crate) fn overflow_group() -> Option<u32> {
    overflow("/proc/sys/kernel/overflowgid", "/proc/self/gid_map")
}

fn overflow(number: &str, map: &str) -> Option<u32> {
    let text = |path: &str| {
        let bytes = reading::read(path.as_ref(), MAX_MAP).ok()?;
        String::from_utf8(bytes).ok()
    };
    let number = text(number)
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(OVERFLOW);
    // Without a map there is one namespace alone.
    let map = text(map)?;
    (!maps(&map, number)).then_some(number)
}

/// Returns whether a namespace's map has a user or group: each line has the first inside, the first outside, and how many.
fn maps(map: &str, number: u32) -> bool {
    map.lines().any(|line| {
        let mut words = line.split_whitespace().map(str::parse::<u64>);
        let (Some(Ok(first)), Some(Ok(_)), Some(Ok(count))) = (words.next(), words.next(), words.next()) else {
            return false;
        };
        (first..first.saturating_add(count)).contains(&number.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_mapped_is_found_by_the_namespace_s_map() {
        let all = "         0          0 4294967295\n";
        let root_alone = "         0       1000          1\n";
        let container = "0 1000 1\n1 100000 65536\n";
        for (map, number, mapped) in [
            (all, OVERFLOW, true),
            (root_alone, OVERFLOW, false),
            (root_alone, 0, true),
            (container, OVERFLOW, true),
            (container, 65_537, false),
            ("", OVERFLOW, false),
            ("x y z\n0 0\n", 0, false),
        ] {
            assert_eq!(maps(map, number), mapped, "{number} in {map:?}");
        }
    }
}
