//! What someone may have meant who wrote a name that is not known.

/// The candidate that `written` is most likely a misspelling of, if one is close.
pub fn nearest<'a>(written: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let tolerated = (written.chars().count() / 2).clamp(1, 4);
    // Of much longer or shorter names none is close.
    let length = written.len();
    let written = written.to_lowercase();
    candidates
        .iter()
        .filter(|candidate| candidate.len().abs_diff(length) <= tolerated * 4)
        .map(|&candidate| (strsim::osa_distance(&written, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= tolerated)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The hint about an unknown name: the nearest known one, or those that there are.
pub fn hint(written: &str, candidates: &[&str]) -> String {
    const SHOWN_MAX: usize = 12;
    if let Some(candidate) = nearest(written, candidates) {
        return format!("did you mean `{candidate}`?");
    }
    if candidates.is_empty() {
        return "there are none".to_owned();
    }
    let shown: Vec<_> = candidates.iter().take(SHOWN_MAX).map(|candidate| format!("`{candidate}`")).collect();
    let more = if candidates.len() > SHOWN_MAX { ", .." } else { "" };
    format!("known are {}{more}", shown.join(", "))
}
