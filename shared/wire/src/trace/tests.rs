use super::*;

#[test]
fn a_ticket_has_its_trace_in_other_digits() {
    let trace = TraceId::from(TicketId::from_bits(0xabc << 100 | 7));
    assert_eq!(trace.to_string(), "0000abc0000000000000000000000007");
    assert_eq!(trace.to_string().parse(), Ok(trace));
    assert_eq!(TraceId::from(MatchId::from_bits(0)).bits(), 1);
}

#[test]
fn a_header_of_another_system_names_a_trace() {
    // The example of W3C Trace Context, section 3.2.
    let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let trace = TraceId::from_traceparent(header).map(|trace| trace.to_string());
    assert_eq!(trace.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
    let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more";
    assert!(TraceId::from_traceparent(later).is_some());
    for bad in [
        "",
        "00",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e47-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ] {
        assert_eq!(TraceId::from_traceparent(bad), None, "{bad}");
    }
}
