//! Bodies of the target of the cluster's programs.

use ssa_cluster::heartbeat::{Heartbeat, Key};

/// Any bytes are a heartbeat or none; what is read is written as the same bytes, and read again as the same with a MAC.
pub fn heartbeat(data: &[u8]) -> bool {
    let key = Key::new(&[7; 32]);
    assert!(
        Heartbeat::decode(data, std::slice::from_ref(&key)).is_err(),
        "nobody has made a MAC"
    );
    let Ok(read) = Heartbeat::parse(data) else { return false };
    assert_eq!(read.body(), data);
    assert_eq!(Heartbeat::decode(&read.encode(&key), &[key]), Ok(read));
    true
}
