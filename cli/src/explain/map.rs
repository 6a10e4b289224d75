//! The bit map: 128 bits in four rows of 32, under each bit the letter of its part.

use std::net::Ipv6Addr;

use super::Part;
use crate::{
    output::Output,
    style::{self, paint},
};

/// Consecutive bits, and their group.
const ROW: u8 = 32;
const GROUP: u8 = 8;

/// Prints the map; with an address its bits above the letters and its hex beside them.
pub(super) fn print(parts: &[Part], address: Option<Ipv6Addr>, out: &mut Output) {
    out.line(paint(style::DIM, "  bit  0        8        16       24"));
    for row in (0..128_u8).step_by(ROW.into()) {
        let label = paint(style::DIM, format!("{row:>5}"));
        if let Some(address) = address {
            let bits = u128::from(address);
            let segments = address.segments();
            let first = usize::from(row / 16);
            let hex = |index: usize| segments.get(index).copied().unwrap_or(0);
            let digits = cells(
                parts,
                row,
                |bit, _| if bits >> (127 - bit) & 1 == 1 { '1' } else { '0' },
            );
            out.line(format_args!(
                "{label}  {digits}  {:04x}:{:04x}",
                hex(first),
                hex(first + 1)
            ));
            out.line(format_args!("       {}", cells(parts, row, |_, part| part.letter)));
        } else {
            out.line(format_args!("{label}  {}", cells(parts, row, |_, part| part.letter)));
        }
    }
}

/// Returns a row of one character a bit, each stretch in the colour of its part.
fn cells(parts: &[Part], row: u8, cell: impl Fn(u8, &Part) -> char) -> String {
    let mut line = String::new();
    for part in parts {
        let end = part.start.saturating_add(part.width).min(row + ROW);
        let start = part.start.max(row);
        if start >= end {
            continue;
        }
        let mut stretch = String::new();
        for bit in start..end {
            if bit % GROUP == 0 && bit != row {
                stretch.push(' ');
            }
            stretch.push(cell(bit, part));
        }
        line.push_str(&paint(part.style, stretch).to_string());
    }
    line
}
