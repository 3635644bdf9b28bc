//! Noisy sums and means of bounded whole numbers.

use super::contribution::Sensitivity;
use super::margins::Margins;
use super::mechanism::{Mechanism, Noisy, OUTSIDE, PrivacyError, suffices};
use super::spending::Share;
use super::table::noisy_cells;
use super::values::{Bounds, CellValues, Estimate};

impl CellValues<'_> {
    /// The sum of the values of every cell. Blocks; spends the share.
    ///
    /// # Errors
    /// [`PrivacyError`].
    pub fn noisy_sums(
        &self,
        mechanism: Mechanism,
        margins: Margins,
        share: Share,
    ) -> Result<Vec<Estimate>, PrivacyError> {
        let sensitivity = self.sensitivity_of_sums(margins)?;
        let sums = self.added(|value| self.bounds.clamped(value));
        let noisy = noisy_cells(&self.shape, &sums, sensitivity, mechanism, margins, OUTSIDE, share)?;
        Ok(noisy.into_iter().map(Estimate::from).collect())
    }

    /// The mean of the values of every cell, in thousandths: a noisy sum around the middle of the bounds over a noisy
    /// number, with half the share each; with 97.5 % for each, both lie in their intervals with at least 95 %. Blocks;
    /// spends the share.
    ///
    /// # Errors
    /// [`PrivacyError`].
    pub fn noisy_means(
        &self,
        mechanism: Mechanism,
        margins: Margins,
        share: Share,
    ) -> Result<Vec<Estimate>, PrivacyError> {
        let [(of_sums, for_sums), (of_numbers, for_numbers)] = self.parts_of_means(margins, share)?;
        let outside = OUTSIDE / 2.0;
        let sums = self.added(|value| self.bounds.centred(value));
        let sums = noisy_cells(&self.shape, &sums, of_sums, mechanism, margins, outside, for_sums)?;
        let numbers = self.added(|_| 1);
        let numbers =
            noisy_cells(&self.shape, &numbers, of_numbers, mechanism, margins, outside, for_numbers)?;
        Ok(sums.into_iter().zip(numbers).map(|(sum, number)| mean(sum, number, self.bounds)).collect())
    }
}

impl CellValues<'_> {
    /// Whether a share suffices for [`CellValues::noisy_sums`], whatever the values are.
    ///
    /// # Errors
    /// [`PrivacyError`].
    pub fn suffices_for_sums(
        &self,
        mechanism: Mechanism,
        margins: Margins,
        share: Share,
    ) -> Result<(), PrivacyError> {
        suffices(self.sensitivity_of_sums(margins)?, mechanism, share)
    }

    /// Whether a share suffices for [`CellValues::noisy_means`], whatever the values are.
    ///
    /// # Errors
    /// [`PrivacyError`].
    pub fn suffices_for_means(
        &self,
        mechanism: Mechanism,
        margins: Margins,
        share: Share,
    ) -> Result<(), PrivacyError> {
        let parts = self.parts_of_means(margins, share)?;
        parts.into_iter().try_for_each(|(sensitivity, share)| suffices(sensitivity, mechanism, share))
    }

    fn sensitivity_of_sums(&self, margins: Margins) -> Result<Sensitivity, PrivacyError> {
        Ok(self.sensitivity(margins)?.times(self.bounds.largest()))
    }

    /// What one person changes of the centred sums and of the numbers, each with half of the share.
    fn parts_of_means(
        &self,
        margins: Margins,
        share: Share,
    ) -> Result<[(Sensitivity, Share); 2], PrivacyError> {
        let of_numbers = self.sensitivity(margins)?;
        let (for_sums, for_numbers) = share.halves();
        Ok([(of_numbers.times(self.bounds.width()), for_sums), (of_numbers, for_numbers)])
    }
}

impl From<Noisy> for Estimate {
    fn from(Noisy { value, half_width }: Noisy) -> Self {
        let half_width = i64::try_from(half_width).unwrap_or(i64::MAX);
        Self { value, low: value.saturating_sub(half_width), high: value.saturating_add(half_width) }
    }
}

/// The mean of a noisy sum of centred values and a noisy number, and the least and the greatest over their intervals;
/// the middle of the bounds where the noisy number is not positive.
fn mean(sum: Noisy, number: Noisy, bounds: Bounds) -> Estimate {
    let reach = (sum.half_width, number.half_width);
    let (sum, number) = (sum.value, number.value);
    let thousand = |value: i64| i128::from(value) * 1000;
    let (least, most) = (thousand(bounds.low), thousand(bounds.high));
    // middle + sum / 2n, in thousandths, rounded downwards or upwards.
    let at = |sum: i128, number: i128, up: bool| {
        let (numerator, denominator) =
            ((thousand(bounds.low) + thousand(bounds.high)) * number + 1000 * sum, 2 * number);
        let rounded = numerator.div_euclid(denominator);
        (rounded + i128::from(up && numerator.rem_euclid(denominator) > 0)).clamp(least, most)
    };
    let (sum, number) = (i128::from(sum), i128::from(number));
    let (sums, numbers) = (i128::from(reach.0), i128::from(reach.1));
    let middle = (least + most).div_euclid(2);
    let value = if number > 0 { at(sum, number, false) } else { middle };
    let ends = if number - numbers > 0 {
        // The quotient is monotone in the sum, and in the number on either side of zero.
        let over = |sum: i128, up: bool| [number - numbers, number + numbers].map(|n| at(sum, n, up));
        let low = over(sum - sums, false).into_iter().min().unwrap_or(least);
        (low, over(sum + sums, true).into_iter().max().unwrap_or(most))
    } else {
        (least, most)
    };
    let narrow = |value: i128| i64::try_from(value).unwrap_or(i64::MAX);
    Estimate { value: narrow(value), low: narrow(ends.0), high: narrow(ends.1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disclosure::protect::tests::shape;
    use std::num::NonZeroU32;

    fn events(many: u32) -> NonZeroU32 {
        NonZeroU32::new(many).unwrap()
    }

    #[test]
    fn the_sensitivity_of_a_sum_covers_any_value_in_the_bounds() {
        let bounds = Bounds::new(-3, 120).unwrap();
        let table = shape(4, 1);
        let values = CellValues::new(&table, &[], bounds, events(4)).unwrap();
        // Four values in one inner cell, and in the total.
        let own = values.sensitivity(Margins::Own).unwrap();
        assert_eq!((own.l1(), own.l2_squared()), (8, 2 * 16));
        let inner = values.sensitivity(Margins::Added).unwrap().times(bounds.largest());
        assert_eq!((inner.l1(), inner.l2_squared()), (4 * 120, 16 * 120 * 120));
        assert_eq!(values.sensitivity(Margins::Added).unwrap().times(bounds.width()).l1(), 4 * 123);
        for value in [-1000, -3, 0, 60, 120, 1000] {
            assert!(bounds.centred(value).unsigned_abs() <= bounds.width());
            assert!(bounds.clamped(value).unsigned_abs() <= bounds.largest());
        }
        assert!(Bounds::new(5, 5).is_err() && Bounds::new(0, 1 << 41).is_err());
        // A value in a margin, or beyond the table, is none of it.
        for cell in [0, 5] {
            assert!(CellValues::new(&table, &[(cell, 1)], bounds, events(1)).is_err());
        }
    }

    #[test]
    fn a_mean_and_its_ends_by_hand() {
        let bounds = Bounds::new(0, 100).unwrap();
        let of = |sum, number, (sums, numbers)| {
            let sum = Noisy { value: sum, half_width: sums };
            mean(sum, Noisy { value: number, half_width: numbers }, bounds)
        };
        // 10 values that sum to 620: centred 2·620 - 1000 = 240.
        let exact = of(240, 10, (0, 0));
        assert_eq!((exact.value, exact.low, exact.high), (62_000, 62_000, 62_000));
        // Sum between 220 and 260, number between 8 and 12: 50 + 220/24 and 50 + 260/16.
        let wide = of(240, 10, (20, 2));
        assert_eq!((wide.low, wide.high), (59_166, 66_250));
        // Below the middle the larger number gives the upper end.
        let wide = of(-240, 10, (20, 2));
        assert_eq!((wide.low, wide.high), (33_750, 40_834));
        // Where there may be nobody, the mean may be anything.
        let none = of(50, 2, (20, 2));
        assert_eq!((none.low, none.high), (0, 100_000));
        assert_eq!(of(50, -2, (20, 2)).value, 50_000);
        assert_eq!(of(9000, 2, (0, 0)).value, 100_000);
    }

    /// A table of cells with the same values in each, and its total.
    fn held(mechanism: Mechanism, margins: Margins) {
        let (cells, bounds) = (200_u32, Bounds::new(0, 20).unwrap());
        let table = shape(cells as usize, 1);
        // 200 values in each cell: half of them 5, half 12, and some beyond the bounds.
        let of_cell = |cell| (0..200).map(move |n| (cell, if n % 2 == 0 { 5 } else { 12 }));
        let values: Vec<(u32, i64)> = (1..=cells).flat_map(of_cell).collect();
        let values = CellValues::new(&table, &values, bounds, events(1)).unwrap();
        let share = || Share::of("2");
        let means = values.noisy_means(mechanism, margins, share()).unwrap();
        let sums = values.noisy_sums(mechanism, margins, share()).unwrap();
        // At least 95 % of 200 hold; fewer than 165 has a probability below 1e-9.
        let holding = |estimates: &[Estimate], truth: i64| {
            estimates.iter().skip(1).filter(|e| e.low <= truth && truth <= e.high).count()
        };
        assert!(holding(&means, 8500) > 165, "{mechanism:?} {margins:?}");
        assert!(holding(&sums, 1700) > 165, "{mechanism:?} {margins:?}");
        assert!(means.iter().skip(1).all(|m| (6000..11_000).contains(&m.value)));
        if margins == Margins::Added {
            assert_eq!(sums.iter().skip(1).map(|sum| sum.value).sum::<i64>(), sums[0].value);
        }
    }

    #[test]
    fn intervals_hold_the_truth_as_often_as_they_say() {
        for mechanism in [Mechanism::Gaussian, Mechanism::Laplace] {
            held(mechanism, Margins::Own);
            held(mechanism, Margins::Added);
        }
    }
}
