//! JSON that users write: read with faults in the words of JSON, not of the types that it is read into.

use serde::de::DeserializeOwned;

/// What the reader of JSON says, and what is meant.
const WORDS: [(&str, &str); 22] = [
    ("invalid type: ", "found "),
    ("invalid value: ", "found "),
    ("invalid length ", "found a list of "),
    (", expected ", " where there should be "),
    ("found map", "found an object"),
    ("found sequence", "found a list"),
    ("found string", "found the text"),
    ("found integer", "found the number"),
    ("found floating point", "found the number"),
    ("found boolean", "found"),
    ("should be a sequence", "should be a list"),
    ("should be a map", "should be an object"),
    ("should be struct ", "should be an object "),
    ("should be u8", "should be a whole number from 0 to 255"),
    ("should be u16", "should be a whole number from 0 to 65535"),
    ("should be u32", "should be a whole number from 0 to 4294967295"),
    ("should be u64", "should be a whole number from 0 to 2^64-1"),
    ("should be usize", "should be a whole number from 0 on"),
    ("should be f64", "should be a number"),
    ("should be a string", "should be a text"),
    ("missing field ", "the key is missing: "),
    ("unknown field ", "unknown key "),
];

/// Reads a JSON document.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| in_words(&error.to_string()))
}

/// Says in words what the reader of JSON found.
pub(crate) fn in_words(error: &str) -> String {
    let mut text = error.to_owned();
    // A key that is not known is followed by those that are.
    if text.contains("unknown field ") {
        text = text
            .replace(", expected ", "; there are ")
            .replace("there are one of ", "there are ");
    }
    for (said, meant) in WORDS {
        text = text.replace(said, meant);
    }
    if text.contains("any variant of untagged enum") {
        return "neither a text nor a list of texts stands where one should".into();
    }
    text.replace("EOF while parsing", "the document ends within")
        .replace("EOF", "the end of the document")
        .replace("expected value at", "no JSON value at")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_json_are_told_in_its_own_words() {
        let of = |text: &str| read::<Vec<u32>>(text).unwrap_err();
        assert_eq!(
            of(r#"["a"]"#),
            "found the text \"a\" where there should be a whole number from 0 to 4294967295 at line 1 column 4"
        );
        assert_eq!(
            of("{}"),
            "found an object where there should be a list at line 1 column 0"
        );
        assert_eq!(
            of("[1.5]"),
            "found the number `1.5` where there should be a whole number from 0 to 4294967295 at line 1 column 4"
        );
        assert_eq!(of("[1"), "the document ends within a list at line 1 column 2");
        assert_eq!(of("x"), "no JSON value at line 1 column 1");
        assert_eq!(
            in_words("unknown field `x`, expected one of `name`, `weight`"),
            "unknown key `x`; there are `name`, `weight`"
        );
    }
}
