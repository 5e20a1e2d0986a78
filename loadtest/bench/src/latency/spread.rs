//! Statistics over samples.

/// Inputs in a stretch of 4 s.
const STRETCH: usize = 240;

/// The value that a share of the samples do not exceed; NaN without samples.
pub(crate) fn at(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).ceil() as usize).copied().unwrap_or(f64::NAN)
}

/// The standard deviation over stretches of 4 s, in the mean.
pub(super) fn jitter(transits: &[f64]) -> f64 {
    let stretches = transits.chunks(STRETCH);
    let count = stretches.len() as f64;
    stretches.map(deviation).sum::<f64>() / count
}

fn deviation(samples: &[f64]) -> f64 {
    let count = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / count;
    (samples.iter().map(|sample| (sample - mean) * (sample - mean)).sum::<f64>() / count).sqrt()
}
