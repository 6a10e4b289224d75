//! Planning allocates nothing, whatever the record, the want and the outcome.

use allocation_counter::measure;
use ssa_client::{HttpRequest, Keys, Options, Order, Service, Want};

const RECORDS: [&str; 9] = [
    "v=ssa1; addr=rand:64",
    "v=ssa1; addr=rand:64; item=rand",
    "v=ssa1; addr=hash(src/64):20 rand:44",
    "v=ssa1; addr=hash(src/128):20 rand:44; replicas=4",
    "v=ssa1; addr=hash(obj):12 const(0):52; replicas=16; obj=path:/cas/{obj}",
    "v=ssa1; addr=hash(obj,chunk,port):20 const(0):44; item=hash(obj)",
    "v=ssa1; addr=obj[80:128] const(0):16",
    "v=ssa1; addr=hash(src/64):20 mac(src/64,time/3600):44; key=k1; kdf=src/48",
    "v=ssa1; addr=hash(src/48):20 rand:44; pow=4",
];

#[test]
fn planning_allocates_nothing() {
    let keys = Keys::default()
        .with_client_key("k1", "00112233445566778899aabbccddeeff")
        .unwrap();
    let options = Options::default()
        .with_keys(keys)
        .with_source("2001:db8:77::7".parse().unwrap());
    let apl = Some("2:2001:db8:5::/64 2:2001:db8:6::/64");
    let fields: [(&[u8], &[u8]); 1] = [(b"range", b"bytes=0-")];
    let request = HttpRequest::new(Some(b"/cas/7"), &fields);
    for record in RECORDS {
        let service = Service::fixed("store.example", apl, &[record], options.clone()).unwrap();
        let want = Want::port(443).object(b"12345").chunk(3);
        let wants = [
            want,
            want.order(Order::Fixed),
            want.replica(0),
            want.targets(16),
            Want::port(443).request(&request).object(b"9").chunk(0),
            Want::port(443).request(&request),
        ];
        // Warm: the generator of this thread, and places for what failed.
        let first = service.plan(&want, &mut ssa_client::random).unwrap().first();
        service.report_failure(&first);
        for want in wants {
            let mut plan = None;
            let planning = measure(|| plan = service.plan(&want, &mut ssa_client::random).ok());
            if plan.is_some() {
                assert_eq!(planning.count_total, 0, "{record}: {want:?}");
            }
        }
        let clone = measure(|| drop(service.clone()));
        assert_eq!(clone.count_total, 0);
    }
}
