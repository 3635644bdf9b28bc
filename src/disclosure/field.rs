//! Arithmetic modulo the Mersenne prime 2^61 - 1, in which linear dependence is decided exactly up to a
//! chance of about 2^-61 for each random draw.

use rand::Rng;

/// The modulus, 2^61 - 1.
pub(super) const P: u64 = (1 << 61) - 1;

/// a + b.
pub(super) const fn add(a: u64, b: u64) -> u64 {
    let sum = a + b;
    if sum >= P { sum - P } else { sum }
}

/// -a.
pub(super) const fn neg(a: u64) -> u64 {
    if a == 0 { 0 } else { P - a }
}

/// a * b.
pub(super) const fn mul(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    add((product as u64) & P, (product >> 61) as u64)
}

/// 1 / a, for a other than 0 (Fermat).
pub(super) const fn inv(a: u64) -> u64 {
    let (mut result, mut base, mut exponent) = (1, a, P - 2);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = mul(result, base);
        }
        base = mul(base, base);
        exponent >>= 1;
    }
    result
}

/// Puts 1 / a in the place of each a; 0 stays 0. One inversion serves all (Montgomery).
pub(super) fn invert(elements: &mut [u64]) {
    let mut product = 1;
    let mut before = Vec::with_capacity(elements.len());
    for &a in elements.iter() {
        before.push(product);
        product = mul(product, if a == 0 { 1 } else { a });
    }
    let mut inverse = inv(product);
    for (a, before) in elements.iter_mut().zip(before).rev() {
        if *a != 0 {
            (*a, inverse) = (mul(inverse, before), mul(inverse, *a));
        }
    }
}

/// `to += factor * from`, element by element.
pub(super) fn add_scaled(to: &mut [u64], from: &[u64], factor: u64) {
    if factor != 0 {
        for (t, &f) in to.iter_mut().zip(from) {
            if f != 0 {
                *t = add(*t, mul(f, factor));
            }
        }
    }
}

/// A uniform random element.
pub(super) fn random(rng: &mut impl Rng) -> u64 {
    loop {
        let draw = rng.next_u64() >> 3;
        if draw < P {
            return draw;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_wide_arithmetic(a in 0..P, b in 0..P) {
            prop_assert_eq!(u128::from(mul(a, b)), u128::from(a) * u128::from(b) % u128::from(P));
            prop_assert_eq!(u128::from(add(a, b)), (u128::from(a) + u128::from(b)) % u128::from(P));
            prop_assert_eq!(add(a, neg(a)), 0);
            if a != 0 { prop_assert_eq!(mul(a, inv(a)), 1); }
        }

        #[test]
        fn all_are_inverted_at_once(elements in prop::collection::vec(prop_oneof![Just(0), 0..P], 0..9)) {
            let mut inverses = elements.clone();
            invert(&mut inverses);
            for (&a, &inverse) in elements.iter().zip(&inverses) {
                prop_assert_eq!(inverse, if a == 0 { 0 } else { inv(a) });
            }
        }
    }
}
