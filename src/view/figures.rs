//! Numbers as short texts, a few characters wide. What is not known is a dash.

/// For what was not told, or can't be.
pub const NOTHING: &str = "-";
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// With a decimal as long as that says something: `0.5`, `1234`, `120k`.
pub fn rate(per_second: f64) -> String {
    match per_second {
        x if !x.is_finite() => NOTHING.into(),
        x if x >= 99_999.5 => format!("{:.0}k", x / 1e3),
        x if x >= 99.95 => format!("{x:.0}"),
        x => format!("{x:.1}"),
    }
}

/// `0.21`, `16.2`, `1620`.
pub fn milliseconds(ms: Option<f64>) -> String {
    match ms {
        Some(x) if x >= 99.95 => format!("{x:.0}"),
        Some(x) if x >= 9.995 => format!("{x:.1}"),
        Some(x) if x.is_finite() => format!("{x:.2}"),
        _ => NOTHING.into(),
    }
}

/// 0.19 as `19%`.
pub fn percent(share: Option<f64>) -> String {
    match share {
        Some(share) if share.is_finite() => format!("{:.0}%", share * 100.0),
        _ => NOTHING.into(),
    }
}

/// In powers of 1024: `512K`, `128M`, `1.5G`.
pub fn bytes(bytes: Option<f64>) -> String {
    let Some(bytes) = bytes.filter(|bytes| bytes.is_finite()) else { return NOTHING.into() };
    let (mega, giga) = (bytes / 1_048_576.0, bytes / 1_073_741_824.0);
    match giga {
        _ if mega < 1.0 => format!("{:.0}K", bytes / 1024.0),
        _ if mega < 1000.0 => format!("{mega:.0}M"),
        _ => format!("{giga:.1}G"),
    }
}

/// Its two largest parts: `45s`, `12m`, `3h04m`, `12d03h`.
pub fn time(seconds: f64) -> String {
    // A float that is no sensible time becomes 0 or the largest integer.
    let seconds = seconds as u64;
    match seconds {
        ..MINUTE => format!("{seconds}s"),
        MINUTE..HOUR => format!("{}m", seconds / MINUTE),
        HOUR..DAY => format!("{}h{:02}m", seconds / HOUR, seconds % HOUR / MINUTE),
        DAY.. => format!("{}d{:02}h", seconds / DAY, seconds % DAY / HOUR),
    }
}

/// 5000000 as `5 000 000`.
pub fn count(count: f64) -> String {
    let digits = format!("{count:.0}");
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(" ")
}

/// A curve of one character for each value, from zero up to the largest of them; blank where
/// there is none.
pub fn curve(values: &[Option<f64>]) -> String {
    let largest = values.iter().flatten().copied().filter(|x| x.is_finite()).fold(0.0, f64::max);
    let bar = |value: &Option<f64>| match value {
        Some(value) if value.is_finite() && largest > 0.0 => {
            BARS[((value / largest * 7.0).round() as usize).min(7)]
        }
        Some(_) => BARS[0],
        None => ' ',
    };
    values.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_short_and_keep_what_matters() {
        let rates = [0.0, 0.54, 99.94, 99.96, 1234.5, 99_999.4, 120_400.0];
        assert_eq!(rates.map(rate), ["0.0", "0.5", "99.9", "100", "1234", "99999", "120k"]);
        let times = [0.21, 9.994, 9.996, 99.96, 1620.4].map(|ms| milliseconds(Some(ms)));
        assert_eq!(times, ["0.21", "9.99", "10.0", "100", "1620"]);
        let sizes = [1e3, 134_217_728.0, 1.6e9].map(|size| bytes(Some(size)));
        assert_eq!(sizes, ["1K", "128M", "1.5G"]);
        assert_eq!([Some(0.194), Some(1.0), None].map(percent), ["19%", "100%", "-"]);
    }

    #[test]
    fn times_show_their_two_largest_parts() {
        let times = [0.9, 59.0, 60.0, 3599.0, 3600.0, 11_045.0, 1_047_600.0];
        assert_eq!(times.map(time), ["0s", "59s", "1m", "59m", "1h00m", "3h04m", "12d03h"]);
    }

    #[test]
    fn counts_are_grouped_by_thousands() {
        assert_eq!([0.0, 999.0, 1000.0, 5e6].map(count), ["0", "999", "1 000", "5 000 000"]);
    }

    #[test]
    fn what_is_no_number_is_shown_as_nothing_and_breaks_nothing() {
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(rate(odd), NOTHING);
            assert_eq!((bytes(Some(odd)), percent(Some(odd))), (NOTHING.into(), NOTHING.into()));
            assert_eq!(curve(&[Some(odd), Some(1.0)]), "▁█");
            let _ = (time(odd), count(odd), milliseconds(Some(odd)));
        }
    }

    #[test]
    fn a_curve_goes_from_zero_to_its_largest_value_with_holes() {
        assert_eq!(curve(&[Some(0.0), None, Some(5.0), Some(10.0)]), "▁ ▅█");
        assert_eq!(curve(&[Some(0.0), Some(0.0)]), "▁▁");
        assert_eq!(curve(&[]), "");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {}
}
