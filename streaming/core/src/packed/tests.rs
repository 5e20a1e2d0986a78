use super::*;

#[test]
fn records_are_read_as_they_were_packed() {
    let packed = Packed::read(b"18446744073709551615 7 1 99 12 3 4 -abp\n d").unwrap();
    let entry = Some(EntryChange { key: "ab".to_owned(), removes: true });
    let record = Record { offset: 7, at: Micros(99), flags: 1, entry, payload: Bytes::from_static(b"p\n d") };
    assert_eq!(packed, Packed { epoch: u64::MAX, number: 12, record });
    for wrong in
        [&b""[..], b"1 2 3", b"1 7 1 99 12 0 5 abcd", b"1 7 256 99 12 0 0 ", b"1 7 1 99 12 1 0 a", b"-1 7 1 9 1 0 0 "]
    {
        assert_eq!(Packed::read(wrong), None, "{wrong:?}");
    }
}
