//! A chart of what protection costs against the size of the table, both axes logarithmic.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

/// What one protection cost.
pub struct Cost {
    /// Cells of the table.
    pub cells: usize,
    /// Seconds on one core.
    pub seconds: f64,
    /// Cells withheld.
    pub withheld: usize,
    /// Whether small counts got ranges.
    pub ranges: bool,
}

const BLUE_GREY: RGBColor = RGBColor(38, 70, 130);
const RUST: RGBColor = RGBColor(190, 80, 30);

/// Draws seconds and cells withheld beside each other.
pub fn draw(costs: &[Cost], path: &Path) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(path, (1000, 420)).into_drawing_area();
    root.fill(&WHITE)?;
    let (left, right) = root.split_horizontally(500);
    panel(&left, "Seconds on one core", costs, |cost| cost.seconds)?;
    #[allow(clippy::cast_precision_loss, reason = "a picture")]
    panel(&right, "Cells withheld", costs, |cost| cost.withheld as f64)?;
    root.present()?;
    Ok(())
}

/// One chart with a line for each kind of protection.
#[allow(clippy::cast_precision_loss, reason = "a picture")]
fn panel<B: DrawingBackend>(
    area: &DrawingArea<B, plotters::coord::Shift>,
    title: &str,
    costs: &[Cost],
    value: impl Fn(&Cost) -> f64,
) -> Result<(), Box<dyn Error>>
where
    B::ErrorType: 'static,
{
    let ends = |numbers: Vec<f64>| {
        let least = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        (least / 1.5)..(numbers.into_iter().fold(0.0, f64::max) * 1.5)
    };
    let x = ends(costs.iter().map(|cost| cost.cells as f64).collect());
    let y = ends(costs.iter().map(&value).collect());
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(x.log_scale(), y.log_scale())?;
    chart
        .configure_mesh()
        .x_desc("cells of the table, margins included")
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .light_line_style(WHITE)
        .draw()?;
    for (ranges, label, colour) in [(false, "exact recovery", BLUE_GREY), (true, "ranges of 5", RUST)] {
        let points: Vec<(f64, f64)> = costs
            .iter()
            .filter(|cost| cost.ranges == ranges)
            .map(|cost| (cost.cells as f64, value(cost)))
            .collect();
        chart
            .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)).point_size(4))?
            .label(label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(BLACK)
        .draw()?;
    Ok(())
}
