//! Noisy sums and means of bounded whole numbers.

use super::contribution::{Contribution, Sensitivity};
use super::mechanism::{Mechanism, OUTSIDE, PrivacyError, with_noise};
use super::spending::Share;

/// The public bounds of a variable. A value outside is taken as the bound it lies beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    low: i64,
    high: i64,
}

impl Bounds {
    /// Values from `low` to `high`.
    ///
    /// # Errors
    /// [`PrivacyError::NotATable`] unless `low` is less than `high` and both are within ±2^40.
    pub fn new(low: i64, high: i64) -> Result<Self, PrivacyError> {
        let most = 1 << 40;
        if -most <= low && low < high && high <= most {
            Ok(Self { low, high })
        } else {
            Err(PrivacyError::NotATable)
        }
    }

    /// The value within the bounds.
    #[must_use]
    pub fn clamped(self, value: i64) -> i64 {
        value.clamp(self.low, self.high)
    }

    /// Twice the distance of the clamped value from the middle of the bounds. Sums of these, not of
    /// the values, go to [`noisy_mean`]: a person changes them by no more than the width of the bounds.
    #[must_use]
    pub fn centred(self, value: i64) -> i64 {
        2 * self.clamped(value) - self.low - self.high
    }

    /// The sensitivity of sums of clamped values, given that of their number.
    #[must_use]
    pub fn of_sum(self, number: Sensitivity) -> Sensitivity {
        number.times(self.low.unsigned_abs().max(self.high.unsigned_abs()))
    }

    /// The sensitivity of sums of centred values.
    fn of_centred_sum(self, number: Sensitivity) -> Sensitivity {
        number.times(self.high.abs_diff(self.low))
    }
}

/// A mean with noise, and the bounds of its 95 % interval, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoisyMean {
    /// The mean, within the variable's bounds; their middle where the noisy number of values is not positive.
    pub thousandths: i64,
    /// The lower end of the interval.
    pub low: i64,
    /// The upper end of the interval.
    pub high: i64,
}

/// The means of a bounded variable in cells that one person contributes to as `contribution` says.
/// `sums` are of centred values. Half the share goes to the sums, half to the numbers of values; with 97.5 %
/// for each, both lie in their intervals with at least 95 %. Blocks; spends the share.
///
/// # Errors
/// [`PrivacyError`].
pub fn noisy_mean(
    sums: &[i64],
    numbers: &[u64],
    bounds: Bounds,
    contribution: Contribution,
    mechanism: Mechanism,
    share: Share,
) -> Result<Vec<NoisyMean>, PrivacyError> {
    let width = bounds.high.abs_diff(bounds.low);
    let fits = |(sum, number): (&i64, &u64)| *number < 1 << 20 || sum.unsigned_abs() / width <= *number;
    if sums.len() != numbers.len() || !sums.iter().zip(numbers).all(fits) {
        return Err(PrivacyError::NotATable);
    }
    let numbers: Vec<i64> = numbers
        .iter()
        .map(|&number| i64::try_from(number).map_err(|_| PrivacyError::NotATable))
        .collect::<Result<_, _>>()?;
    let sensitivity = contribution.of_inner_cells();
    let (for_sums, for_numbers) = share.halves();
    let (sums, sum_law) = with_noise(sums, bounds.of_centred_sum(sensitivity), mechanism, for_sums)?;
    let (numbers, number_law) = with_noise(&numbers, sensitivity, mechanism, for_numbers)?;
    let reach = (sum_law.reach(OUTSIDE / 2.0), number_law.reach(OUTSIDE / 2.0));
    Ok(sums.into_iter().zip(numbers).map(|(sum, number)| mean(sum, number, reach, bounds)).collect())
}

/// The mean of a noisy sum and number, and the least and the greatest over their intervals.
fn mean(sum: i64, number: i64, reach: (u64, u64), bounds: Bounds) -> NoisyMean {
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
    NoisyMean { thousandths: narrow(value), low: narrow(ends.0), high: narrow(ends.1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    fn contribution(cells: u32, events: u32) -> Contribution {
        Contribution::of_events(NonZeroU32::new(cells).unwrap(), NonZeroU32::new(events).unwrap())
    }

    #[test]
    fn the_sensitivity_of_a_sum_covers_any_value_in_the_bounds() {
        let bounds = Bounds::new(-3, 120).unwrap();
        let number = contribution(2, 4).of_inner_cells();
        assert_eq!(bounds.of_sum(number).l1(), 8 * 120);
        assert_eq!(bounds.of_sum(number).l2_squared(), 2 * 16 * 120 * 120);
        assert_eq!(bounds.of_centred_sum(number).l1(), 8 * 123);
        for value in [-1000, -3, 0, 60, 120, 1000] {
            assert!(bounds.centred(value).unsigned_abs() <= 123);
            assert!(bounds.clamped(value).unsigned_abs() <= 120);
        }
        assert!(Bounds::new(5, 5).is_err() && Bounds::new(0, 1 << 41).is_err());
    }

    #[test]
    fn a_mean_and_its_ends_by_hand() {
        let bounds = Bounds::new(0, 100).unwrap();
        // 10 values that sum to 620: centred 2·620 - 1000 = 240.
        let exact = mean(240, 10, (0, 0), bounds);
        assert_eq!((exact.thousandths, exact.low, exact.high), (62_000, 62_000, 62_000));
        // Sum between 220 and 260, number between 8 and 12: 50 + 220/24 and 50 + 260/16.
        let wide = mean(240, 10, (20, 2), bounds);
        assert_eq!((wide.low, wide.high), (59_166, 66_250));
        // Below the middle the larger number gives the upper end.
        let wide = mean(-240, 10, (20, 2), bounds);
        assert_eq!((wide.low, wide.high), (33_750, 40_834));
        // Where there may be nobody, the mean may be anything.
        let none = mean(50, 2, (20, 2), bounds);
        assert_eq!((none.low, none.high), (0, 100_000));
        assert_eq!(mean(50, -2, (20, 2), bounds).thousandths, 50_000);
        assert_eq!(mean(9000, 2, (0, 0), bounds).thousandths, 100_000);
    }

    #[test]
    fn intervals_hold_the_mean_as_often_as_they_say() {
        let bounds = Bounds::new(0, 20).unwrap();
        let (sums, numbers) = (vec![-2 * 300; 400], vec![200; 400]);
        let share = Share::of("2");
        let means =
            noisy_mean(&sums, &numbers, bounds, contribution(1, 1), Mechanism::Gaussian, share).unwrap();
        // 10 - 600/400 = 8.5. At least 95 % of 400 hold; 340 fewer has a probability below 1e-9.
        let hold = means.iter().filter(|m| m.low <= 8500 && 8500 <= m.high).count();
        assert!(hold > 340, "{hold}");
        assert!(means.iter().all(|m| (7000..10_000).contains(&m.thousandths)));
    }
}
