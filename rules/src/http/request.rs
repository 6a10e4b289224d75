//! A request as far as its keys are concerned: its target and its header fields.

/// A request over HTTP: what sources read of it.
#[derive(Clone, Copy, Debug)]
pub struct HttpRequest<'a> {
    /// What precedes the first `?` of the target; nothing where the target has neither path nor query.
    pub(super) path: Option<&'a [u8]>,
    /// What follows that `?`.
    pub(super) query: Option<&'a [u8]>,
    fields: &'a [(&'a [u8], &'a [u8])],
}

impl<'a> HttpRequest<'a> {
    /// Takes a request of its target, that of the request line or `:path`, if it has one, and its header fields, names and
    /// values in the order received.
    #[must_use]
    pub fn new(target: Option<&'a [u8]>, fields: &'a [(&'a [u8], &'a [u8])]) -> Self {
        let (path, query) = target.and_then(path_and_query).unzip();
        Self {
            path,
            query: query.flatten(),
            fields,
        }
    }

    /// Returns the path, as it stands in the target; nothing where the target has none, as with `CONNECT` and
    /// `OPTIONS *`.
    #[must_use]
    pub const fn path(&self) -> Option<&'a [u8]> {
        self.path
    }

    /// Returns the values of the header fields of this name, which is in lower case.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let fields = self.fields.iter();
        fields
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| *value)
    }
}

/// Returns the path and the query of a target that has them: one in origin form, or in absolute form.
fn path_and_query(target: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let after = after_authority(target);
    let (target, _) = cut(after.unwrap_or(target), b'#');
    let (path, query) = cut(target, b'?');
    match path.first() {
        Some(b'/') => Some((path, query)),
        None if after.is_some() => Some((b"/", query)),
        _ => None,
    }
}

/// Returns what follows scheme and authority, if it is a target in absolute form.
fn after_authority(target: &[u8]) -> Option<&[u8]> {
    if !target.first()?.is_ascii_alphabetic() {
        return None;
    }
    let of_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    let end = target.iter().position(|byte| !of_scheme(byte))?;
    let rest = target.get(end..)?.strip_prefix(b"://")?;
    let authority = rest.iter().position(|byte| b"/?#".contains(byte));
    rest.get(authority.unwrap_or(rest.len())..)
}

/// Returns what precedes the first of these bytes, or all, and what follows it, if it is there.
pub(super) fn cut(bytes: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    let mut parts = bytes.splitn(2, |byte| *byte == at);
    (parts.next().unwrap_or_default(), parts.next())
}

/// Returns a text without spaces and tabs at its ends.
pub(super) fn trimmed(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}
