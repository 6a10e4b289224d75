//! The chunk that contains a range of bytes.

use super::{
    find::Absent,
    request::{HttpRequest, cut, trimmed},
};

/// Returns the number of the block of so many bytes that contains the range of a request.
pub(super) fn chunk(request: &HttpRequest<'_>, bytes: u64) -> Result<u64, Absent> {
    let of_range = of_field(request, "range", b'=');
    let (first, last) = match of_range {
        Err(Absent::NoField) => {
            let (range, size) = cut(of_field(request, "content-range", b' ')?, b'/');
            let size = size.ok_or(Absent::NotARange)?;
            let is_size = size == b"*" || (!size.is_empty() && size.iter().all(u8::is_ascii_digit));
            let (first, last) = ends(range).filter(|_| is_size).ok_or(Absent::NotARange)?;
            (first, Some(last.ok_or(Absent::NotARange)?))
        }
        range => ends(range?).ok_or(Absent::NotARange)?,
    };
    let block = |byte: u64| byte.checked_div(bytes).ok_or(Absent::NotARange);
    match last {
        Some(last) if last < first => Err(Absent::NotARange),
        Some(last) if block(last)? != block(first)? => Err(Absent::SeveralChunks),
        _ => block(first),
    }
}

/// Returns what follows the unit, `bytes`, in the only field of a name: of several, joined, none is a range.
fn of_field<'a>(request: &HttpRequest<'a>, name: &str, after_unit: u8) -> Result<&'a [u8], Absent> {
    let mut values = request.values(name);
    let value = trimmed(values.next().ok_or(Absent::NoField)?);
    let (unit, range) = cut(value, after_unit);
    let is_bytes = unit.eq_ignore_ascii_case(b"bytes") && values.next().is_none();
    range.filter(|_| is_bytes).ok_or(Absent::NotARange)
}

/// Returns the ends of a range, `a-b` or `a-`.
fn ends(range: &[u8]) -> Option<(u64, Option<u64>)> {
    let (first, last) = cut(range, b'-');
    let last = match last? {
        b"" => None,
        digits => Some(number(digits)?),
    };
    Some((number(first)?, last))
}

/// Reads 1 to 20 decimal digits as a number below 2^64.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    if !matches!(digits.len(), 1..=20) {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
}
