//! The load of every endpoint as a picture: bars, the fullest first, with the mean and the 99th percentile.

use std::fmt::{self, Write};

use super::spread::{Spread, size};
use crate::counts::mean;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 130.0;
const PLOT_HEIGHT: f64 = 240.0;
const HEAD: f64 = 84.0;
/// From the top of one panel's plot to that of the next.
const PANEL: f64 = PLOT_HEIGHT + 112.0;

/// More bars than this are drawn as one outline.
const MAX_BARS: usize = 400;

/// One plot: a caption and what it shows.
pub(crate) struct Panel<'a> {
    pub(crate) caption: String,
    pub(crate) spread: &'a Spread,
}

/// A picture of one or more plots with a common scale.
pub(crate) struct Picture<'a> {
    pub(crate) title: String,
    pub(crate) subtitle: String,
    pub(crate) panels: Vec<Panel<'a>>,
}

/// Text with what XML would take for markup, or does not allow, replaced.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '&' => f.write_str("&amp;"),
            '"' => f.write_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => f.write_char('\u{fffd}'),
            c => f.write_char(c),
        })
    }
}

/// Cuts a text to a number of characters.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.into();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Returns a step of 1, 2 or 5 times a power of ten that divides a range into at most six.
fn step(range: f64) -> f64 {
    let rough = (range / 6.0).max(1e-9);
    let power = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    steps.into_iter().find(|step| *step >= rough).unwrap_or(10.0 * power)
}

const STYLE: &str = "
    .ground { fill: #ffffff }
    .ink { fill: #1f2328 }
    .soft { fill: #57606a }
    .grid { stroke: #d0d7de; stroke-width: 1 }
    .axis { stroke: #57606a; stroke-width: 1 }
    .bar { fill: #2f6fb5 }
    .mean { stroke: #1a7f37; stroke-width: 2 }
    .mean-text { fill: #1a7f37 }
    .p99 { stroke: #bc4c00; stroke-width: 2; stroke-dasharray: 6 4 }
    .p99-text { fill: #bc4c00 }
    .max-text { fill: #2f6fb5 }
    text { font-family: system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif; font-size: 13px }
    .title { font-size: 17px; font-weight: 600 }
    .caption { font-size: 14px; font-weight: 600 }
    @media (prefers-color-scheme: dark) {
      .ground { fill: #0d1117 }
      .ink { fill: #e6edf3 }
      .soft { fill: #9da7b3 }
      .grid { stroke: #30363d }
      .axis { stroke: #9da7b3 }
      .bar { fill: #3572c6 }
      .mean { stroke: #56d364 }
      .mean-text { fill: #56d364 }
      .p99 { stroke: #f0883e }
      .p99-text { fill: #f0883e }
      .max-text { fill: #79c0ff }
    }
";

impl fmt::Display for Picture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let height = HEAD + size(self.panels.len()) * PANEL - 28.0;
        let title = Escaped(&self.title);
        writeln!(f, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
        writeln!(
            f,
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" aria-labelledby="title desc">"#
        )?;
        writeln!(f, r#"<title id="title">{title}</title>"#)?;
        writeln!(f, r#"<desc id="desc">{}</desc>"#, Escaped(&self.description()))?;
        writeln!(f, "<style>{STYLE}</style>")?;
        writeln!(f, r#"<rect class="ground" width="{WIDTH}" height="{height}"/>"#)?;
        writeln!(
            f,
            r#"<text class="ink title" x="24" y="32">{}</text>"#,
            Escaped(&cut(&self.title, 96))
        )?;
        writeln!(
            f,
            r#"<text class="soft" x="24" y="54">{}</text>"#,
            Escaped(&cut(&self.subtitle, 130))
        )?;
        let greatest = self
            .panels
            .iter()
            .map(|panel| panel.spread.max_over_mean)
            .fold(1.0, f64::max);
        let step = step(greatest * 1.05);
        let top = (greatest * 1.05 / step).ceil() * step;
        for (index, panel) in self.panels.iter().enumerate() {
            panel.draw(f, HEAD + 26.0 + size(index) * PANEL, step, top)?;
        }
        writeln!(f, "</svg>")
    }
}

impl Picture<'_> {
    fn description(&self) -> String {
        let panels = self.panels.iter().map(|panel| {
            let spread = panel.spread;
            format!(
                "{}: mean {} connections per endpoint, fullest {:.2} times the {}, 99th percentile {:.2} times.",
                panel.caption,
                mean(spread.mean),
                spread.max_over_mean,
                spread.unit(),
                spread.p99_over_mean
            )
        });
        panels.collect::<Vec<_>>().join(" ")
    }
}

impl Panel<'_> {
    fn draw(&self, f: &mut fmt::Formatter<'_>, y: f64, step: f64, top: f64) -> fmt::Result {
        let plot_width = WIDTH - LEFT - RIGHT;
        let right = WIDTH - RIGHT;
        let bottom = y + PLOT_HEIGHT;
        let height_of = |ratio: f64| bottom - ratio / top * PLOT_HEIGHT;
        writeln!(
            f,
            r#"<text class="ink caption" x="{LEFT}" y="{:.1}">{}</text>"#,
            y - 10.0,
            Escaped(&self.caption)
        )?;

        let decimals = if step < 0.095 { 2 } else { usize::from(step < 0.95) };
        let mut tick = 0.0;
        while tick <= top + step / 2.0 {
            let at = height_of(tick);
            writeln!(
                f,
                r#"<line class="grid" x1="{LEFT}" x2="{right}" y1="{at:.1}" y2="{at:.1}"/>"#
            )?;
            let x = LEFT - 8.0;
            writeln!(
                f,
                r#"<text class="soft" x="{x}" y="{:.1}" text-anchor="end">{tick:.decimals$}</text>"#,
                at + 4.5
            )?;
            tick += step;
        }
        let middle = y + PLOT_HEIGHT / 2.0;
        writeln!(
            f,
            r#"<text class="soft" x="22" y="{middle}" text-anchor="middle" transform="rotate(-90 22 {middle})">load (times the {})</text>"#,
            self.spread.unit()
        )?;
        self.draw_bars(f, plot_width, bottom, &height_of)?;
        writeln!(
            f,
            r#"<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>"#
        )?;
        self.draw_ranks(f, plot_width, bottom)?;
        self.draw_lines(f, right, bottom, &height_of)
    }

    fn draw_bars(
        &self,
        f: &mut fmt::Formatter<'_>,
        plot_width: f64,
        bottom: f64,
        height_of: &impl Fn(f64) -> f64,
    ) -> fmt::Result {
        let ratios = &self.spread.ratios;
        let pitch = plot_width / size(ratios.len().max(1));
        if ratios.len() <= MAX_BARS {
            let gap = if pitch > 4.0 { pitch * 0.15 } else { 0.0 };
            for (index, ratio) in ratios.iter().enumerate() {
                let width = (pitch - gap).min(80.0);
                let (x, at) = (LEFT + (size(index) + 0.5) * pitch - width / 2.0, height_of(*ratio));
                writeln!(
                    f,
                    r#"<rect class="bar" x="{x:.2}" y="{at:.2}" width="{width:.2}" height="{:.2}"/>"#,
                    bottom - at
                )?;
            }
            return Ok(());
        }
        // The outline of the bars, with a corner only where the height changes by what can be seen.
        let mut path = format!("M{LEFT:.1} {bottom:.1}");
        let mut drawn = f64::INFINITY;
        for (index, ratio) in ratios.iter().enumerate() {
            let at = height_of(*ratio);
            if (at - drawn).abs() >= 0.2 {
                let x = LEFT + size(index) * pitch;
                let from = if drawn.is_finite() { drawn } else { bottom };
                let _ = write!(path, "L{x:.1} {from:.1}L{x:.1} {at:.1}");
                drawn = at;
            }
        }
        let (end, last) = (LEFT + plot_width, if drawn.is_finite() { drawn } else { bottom });
        writeln!(
            f,
            r#"<path class="bar" d="{path}L{end:.1} {last:.1}L{end:.1} {bottom:.1}Z"/>"#
        )
    }

    fn draw_ranks(&self, f: &mut fmt::Formatter<'_>, plot_width: f64, bottom: f64) -> fmt::Result {
        let endpoints = self.spread.endpoints;
        let pitch = plot_width / size(endpoints.max(1));
        let step = step(size(endpoints)).max(1.0);
        let mut rank = 1.0;
        while rank <= size(endpoints) {
            let x = LEFT + (rank - 0.5) * pitch;
            writeln!(
                f,
                r#"<text class="soft" x="{x:.1}" y="{:.1}" text-anchor="middle">{rank}</text>"#,
                bottom + 18.0
            )?;
            rank = if rank < 1.5 && step > 1.5 { step } else { rank + step };
        }
        let middle = LEFT + plot_width / 2.0;
        writeln!(
            f,
            r#"<text class="soft" x="{middle}" y="{:.1}" text-anchor="middle">endpoints by load, the fullest first</text>"#,
            bottom + 40.0
        )
    }

    fn draw_lines(
        &self,
        f: &mut fmt::Formatter<'_>,
        right: f64,
        bottom: f64,
        height_of: &impl Fn(f64) -> f64,
    ) -> fmt::Result {
        let spread = self.spread;
        let mut labels = vec![
            ("max", spread.max_over_mean, format!("max {:.2}×", spread.max_over_mean)),
            ("p99", spread.p99_over_mean, format!("p99 {:.2}×", spread.p99_over_mean)),
            (
                "mean",
                1.0,
                if spread.even {
                    format!("mean {}", mean(spread.mean))
                } else {
                    spread.unit().into()
                },
            ),
        ];
        if spread.connections == 0 {
            labels.clear();
        }
        // Labels stand beside their heights, and never on each other.
        let mut lowest = f64::NEG_INFINITY;
        for (class, ratio, text) in labels {
            let at = height_of(ratio);
            if class != "max" {
                writeln!(
                    f,
                    r#"<line class="{class}" x1="{LEFT}" x2="{right}" y1="{at:.1}" y2="{at:.1}"/>"#
                )?;
            }
            let label = (at + 4.5).max(lowest + 17.0).min(bottom + 22.0);
            lowest = label;
            let x = right + 8.0;
            writeln!(
                f,
                r#"<text class="{class}-text" x="{x}" y="{label:.1}">{}</text>"#,
                Escaped(&text)
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        for (range, wanted) in [
            (1.1, 0.2),
            (4.2, 1.0),
            (6.0, 1.0),
            (13.0, 5.0),
            (100.0, 20.0),
            (1000.0, 200.0),
        ] {
            assert!((step(range) - wanted).abs() < 1e-9, "{range}: {}", step(range));
        }
    }

    #[test]
    fn markup_is_escaped_and_text_is_cut() {
        assert_eq!(
            Escaped("<a & \"b\"\u{7}>").to_string(),
            "&lt;a &amp; &quot;b&quot;\u{fffd}&gt;"
        );
        assert_eq!(cut("abcdef", 4), "abc…");
    }
}
