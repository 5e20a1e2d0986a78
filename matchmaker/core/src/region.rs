//! Where a match should run, judged by the latencies its players measured.

/// What a player measured to one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latency {
    /// The region's name.
    pub region: String,
    /// Round trip, ms.
    pub ms: u32,
}

/// Whether tickets with these latencies can share a region within `limit_ms`. Who measured nothing goes anywhere.
pub(crate) fn share_region(a: &[Latency], b: &[Latency], limit_ms: u32) -> bool {
    if a.is_empty() || b.is_empty() {
        return true;
    }
    a.iter().any(|here| b.iter().any(|there| here.region == there.region && here.ms.max(there.ms) <= limit_ms))
}

/// The region whose worst latency over all `tickets` is lowest; empty when none was measured by all who measured.
pub(crate) fn best_region<'a>(tickets: impl Iterator<Item = &'a [Latency]> + Clone) -> String {
    let measured = tickets.filter(|latencies| !latencies.is_empty());
    let Some(first) = measured.clone().next() else { return String::new() };
    let worst = |region: &str| {
        let each = measured.clone().map(|latencies| latencies.iter().find(|l| l.region == region).map(|l| l.ms));
        each.collect::<Option<Vec<u32>>>().and_then(|all| all.into_iter().max())
    };
    let ranked = first.iter().filter_map(|l| worst(&l.region).map(|ms| (ms, l.region.as_str())));
    ranked.min().map(|(_, region)| region.to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
