//! Leases of endpoints: by them a kernel takes new flows where ownership is [exclusive](crate::objects::Ownership).
//!
//! A lease of an endpoint is given by the leader alone, to the kernel that it reports of, and renewed by the agent there. The
//! leader takes it when it was not renewed for so long that the holder surely believes in it no more
//! ([`ssa_slices::handover::lease`]), and gives it again only once the endpoint follows all that was decided meanwhile. So
//! whoever may renew a lease knows everything that was decided without waiting for it.

use std::fmt;

use crate::objects::{ENDPOINT_LEASE, Lease, Name};

/// What the names of holders begin with that are kernels.
const KERNEL: &str = "kernel-";
/// What the names of holders begin with that are leaders.
const LEADER: &str = "leader-";

/// Returns the name of an endpoint's lease.
///
/// # Errors
///
/// [`TooLong`], if it would be longer than the name of an object.
pub fn name(endpoint: &Name) -> Result<Name, TooLong> {
    Name::new(&format!("{ENDPOINT_LEASE}{endpoint}")).map_err(|_| TooLong {
        endpoint: endpoint.clone(),
    })
}

/// An endpoint has too long a name for a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooLong {
    endpoint: Name,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the endpoint's name has {} bytes; with exclusive ownership it may have at most {}: {}",
            self.endpoint.len(),
            Name::MAX - ENDPOINT_LEASE.len(),
            self.endpoint
        )
    }
}

impl std::error::Error for TooLong {}

/// Who holds the lease of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder<'a> {
    /// The kernel of this name may take new flows.
    Kernel(&'a Name),
    /// Nobody may: the lease was given up, or a leader has it.
    NoKernel,
}

/// Says who holds a lease.
#[must_use]
pub fn holder(lease: &Lease) -> Holder<'_> {
    match &lease.spec.holder_identity {
        Some(holder) if !holder.starts_with(LEADER) => Holder::Kernel(holder),
        _ => Holder::NoKernel,
    }
}

/// Makes the name by which a leader holds leases: that of this process.
pub(crate) fn leader() -> Name {
    use std::hash::{BuildHasher as _, Hasher as _};
    let random = std::hash::RandomState::new().build_hasher().finish();
    Name::new(&format!("{LEADER}{random:016x}")).expect("hex digits are a name")
}

/// Returns the name of this network namespace's kernel state: it is another one after the host or the namespace began anew,
/// and the same for each agent that runs there.
///
/// # Errors
///
/// What the system says, if it does not tell.
#[cfg(target_os = "linux")]
pub fn kernel() -> std::io::Result<Name> {
    use std::os::unix::fs::MetadataExt as _;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let boot: String = boot.chars().filter(char::is_ascii_hexdigit).collect();
    let namespace = std::fs::metadata("/proc/self/ns/net")?.ino();
    Name::new(&format!("{KERNEL}{boot}-{namespace}")).map_err(std::io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lease_of_an_endpoint_has_a_name_of_its_own_up_to_the_bound() {
        let endpoint = |length: usize| Name::new(&"a".repeat(length)).expect("a name");
        assert_eq!(name(&endpoint(240)).map(|name| name.len()), Ok(253));
        let told = name(&endpoint(241)).expect_err("too long").to_string();
        assert!(
            told.starts_with(
                "the endpoint's name has 241 bytes; with exclusive ownership it may have at most 240: aaa"
            ),
            "{told}"
        );
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_kernel_has_one_name_and_no_leader_has_it() {
        let kernel = kernel().expect("the system tells");
        assert_eq!(Ok(&kernel), super::kernel().as_ref().map_err(|_| ()));
        let mut lease = Lease::new(
            kernel.clone(),
            serde_json::from_value(serde_json::json!({"leaseDurationSeconds": 15})).expect("terms"),
        );
        assert_eq!(holder(&lease), Holder::NoKernel);
        lease.spec.holder_identity = Some(kernel.clone());
        assert_eq!(holder(&lease), Holder::Kernel(&kernel));
        lease.spec.holder_identity = Some(leader());
        assert_eq!(holder(&lease), Holder::NoKernel);
    }
}
