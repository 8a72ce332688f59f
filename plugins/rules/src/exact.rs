//! Sums of doubles without error: every double is added exactly into one long fixed-point number, rounded once at the end.
//!
//! After the small superaccumulator of R. Neal, "Fast exact summation using small and large superaccumulators" (2015).

/// 32 bits of the sum each; carries are spread now and then.
const CHUNKS: usize = 68;
/// The least bit of a double is 2^-1074.
const BITS_BELOW_ONE: i32 = 1074;
/// So many numbers fit before a chunk could overflow.
const ADDS_BETWEEN_CARRIES: u32 = 1 << 29;

/// An exact sum of doubles.
#[derive(Clone, Debug)]
pub struct ExactSum {
    chunks: [i64; CHUNKS],
    adds: u32,
    infinities: (bool, bool),
    is_nan: bool,
    /// Every number was a negative zero.
    only_negative_zeros: bool,
    count: u64,
}

impl Default for ExactSum {
    fn default() -> Self {
        Self {
            chunks: [0; CHUNKS],
            adds: 0,
            infinities: (false, false),
            is_nan: false,
            only_negative_zeros: true,
            count: 0,
        }
    }
}

impl ExactSum {
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        self.only_negative_zeros &= value == 0.0 && value.is_sign_negative();
        if !value.is_finite() {
            self.is_nan |= value.is_nan();
            self.infinities.0 |= value == f64::INFINITY;
            self.infinities.1 |= value == f64::NEG_INFINITY;
            return;
        }
        let bits = value.to_bits();
        let exponent = (bits >> 52 & 0x7ff) as i32;
        let fraction = bits & ((1 << 52) - 1);
        let (mantissa, shift) = if exponent == 0 { (fraction, 0) } else { (fraction | 1 << 52, exponent - 1) };
        let (chunk, within) = ((shift / 32) as usize, shift % 32);
        let wide = u128::from(mantissa) << within;
        let sign = if value.is_sign_negative() { -1 } else { 1 };
        for (place, word) in [wide as u32, (wide >> 32) as u32, (wide >> 64) as u32].into_iter().enumerate() {
            self.chunks[chunk + place] += sign * i64::from(word);
        }
        self.adds += 1;
        if self.adds == ADDS_BETWEEN_CARRIES {
            self.carry();
        }
    }

    fn carry(&mut self) {
        self.adds = 0;
        for place in 0..CHUNKS - 1 {
            let carried = self.chunks[place] >> 32;
            self.chunks[place] -= carried << 32;
            self.chunks[place + 1] += carried;
        }
    }

    /// The sum, rounded to the nearest double, ties to even.
    pub fn value(&self) -> f64 {
        if self.is_nan || self.infinities == (true, true) {
            return f64::NAN;
        }
        match self.infinities {
            (true, _) => return f64::INFINITY,
            (_, true) => return f64::NEG_INFINITY,
            _ => {}
        }
        let mut sum = self.clone();
        sum.carry();
        let is_negative = sum.chunks[CHUNKS - 1] < 0;
        if is_negative {
            for chunk in &mut sum.chunks {
                *chunk = -*chunk;
            }
            sum.carry();
        }
        let magnitude = round(&sum.chunks);
        match magnitude == 0.0 {
            true if self.count > 0 && self.only_negative_zeros => -0.0,
            true => 0.0,
            false if is_negative => -magnitude,
            false => magnitude,
        }
    }
}

/// Rounds a number whose chunks all hold 32 bits, the last more.
fn round(chunks: &[i64; CHUNKS]) -> f64 {
    let Some(top) = chunks.iter().rposition(|&chunk| chunk != 0) else { return 0.0 };
    // The top bit's place, counted from 2^-1074.
    let top_bit = 32 * top as i32 + 63 - chunks[top].leading_zeros() as i32;
    let bit = |place: i32| place >= 0 && chunks[(place / 32) as usize] >> (place % 32) & 1 != 0;
    let chunk_of = |place: usize| if place < CHUNKS { chunks[place] as u128 } else { 0 };
    let window = |low: i32| {
        let first = (low / 32) as usize;
        let wide = chunk_of(first) | chunk_of(first + 1) << 32 | chunk_of(first + 2) << 64;
        (wide >> (low % 32)) as u64 & ((1 << 53) - 1)
    };
    if top_bit < 53 {
        // Everything fits, subnormal or just above.
        return (window(0) as f64) * f64::from_bits(1);
    }
    let low = top_bit - 52;
    let mut mantissa = window(low);
    let half = bit(low - 1);
    let is_sticky = (0..low - 1).any(bit);
    if half && (is_sticky || mantissa & 1 == 1) {
        mantissa += 1;
    }
    let exponent = low - BITS_BELOW_ONE;
    let (mantissa, exponent) = if mantissa == 1 << 53 { (1 << 52, exponent + 1) } else { (mantissa, exponent) };
    let biased = i64::from(exponent) + 52 + 1023;
    if biased >= 2047 {
        return f64::INFINITY;
    }
    f64::from_bits((biased as u64) << 52 | (mantissa & ((1 << 52) - 1)))
}

#[cfg(test)]
mod tests {
    use super::ExactSum;

    fn check(values: &[f64], expected: f64) {
        let mut sum = ExactSum::default();
        for &value in values {
            sum.add(value);
        }
        assert_eq!(sum.value().to_bits(), expected.to_bits(), "{values:?}: {} is not {expected}", sum.value());
    }

    #[test]
    fn sums_are_rounded_once() {
        check(&[], 0.0);
        check(&[0.1; 10], 1.0);
        check(&[1e100, 1.0, -1e100], 1.0);
        check(&[1e308, 1e308, -1e308], 1e308);
        check(&[f64::MAX, f64::MAX], f64::INFINITY);
        check(&[5e-324, 5e-324], 1e-323);
        check(&[1.0, 2f64.powi(-53)], 1.0);
        check(&[1.0, 2f64.powi(-53), 5e-324], 1.0 + f64::EPSILON);
        check(&[-1.5, -2.25], -3.75);
        check(&[-0.0, -0.0], -0.0);
        check(&[1.0, -1.0], 0.0);
        check(&[f64::INFINITY, 1.0], f64::INFINITY);
        check(&[f64::INFINITY, f64::NEG_INFINITY], f64::NAN);
    }

    #[test]
    fn the_order_of_numbers_does_not_count() {
        let values: Vec<f64> = (0..1000).map(|n| f64::from(n % 37 - 18) * 10f64.powi(n % 41 - 20)).collect();
        let mut forth = ExactSum::default();
        let mut back = ExactSum::default();
        values.iter().for_each(|&value| forth.add(value));
        values.iter().rev().for_each(|&value| back.add(value));
        assert_eq!(forth.value().to_bits(), back.value().to_bits());
    }
}
