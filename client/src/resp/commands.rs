//! Which keys a command has, and what of a key decides where it is.

/// Returns the part of a key by which it is placed: what is between the first `{` and the next `}`, if that is not empty, and
/// else the whole key. So keys of one tag are at one endpoint, as in a Redis cluster.
///
/// ```
/// use ssa_client::resp::hash_tag;
///
/// assert_eq!(hash_tag(b"{user:7}.cart"), b"user:7");
/// assert_eq!(hash_tag(b"user:7"), b"user:7");
/// assert_eq!(hash_tag(b"a{}b{c}"), b"a{}b{c}");
/// ```
#[must_use]
pub fn hash_tag(key: &[u8]) -> &[u8] {
    let tag = || {
        let open = key.iter().position(|byte| *byte == b'{')?;
        let rest = key.get(open + 1..)?;
        let length = rest
            .iter()
            .position(|byte| *byte == b'}')
            .filter(|length| *length > 0)?;
        rest.get(..length)
    };
    tag().unwrap_or(key)
}

/// The keys of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// None: it concerns a whole endpoint.
    None,
    /// One, the argument of this number, counted from 0, the command's name.
    One(usize),
    /// All arguments from 1 on, each a part of the command by itself: replies are counts, which are added up.
    Counted,
    /// The same; replies are one value for each.
    Listed,
    /// Keys and values in turn; all replies are `OK`.
    Pairs,
    /// Several that have to be at one endpoint, from the first to before the last number.
    Together(usize, usize),
    /// Keys and values in turn that have to be at one endpoint.
    PairsTogether,
}

/// Commands without keys.
const WITHOUT: &[&str] = &[
    "ACL",
    "AUTH",
    "BGREWRITEAOF",
    "BGSAVE",
    "CLIENT",
    "CLUSTER",
    "COMMAND",
    "CONFIG",
    "DBSIZE",
    "DISCARD",
    "ECHO",
    "EXEC",
    "FAILOVER",
    "FLUSHALL",
    "FLUSHDB",
    "FUNCTION",
    "HELLO",
    "INFO",
    "KEYS",
    "LASTSAVE",
    "LATENCY",
    "MODULE",
    "MONITOR",
    "MULTI",
    "PING",
    "PSUBSCRIBE",
    "PSYNC",
    "PUBLISH",
    "PUBSUB",
    "PUNSUBSCRIBE",
    "QUIT",
    "RANDOMKEY",
    "REPLICAOF",
    "RESET",
    "ROLE",
    "SAVE",
    "SCAN",
    "SCRIPT",
    "SELECT",
    "SHUTDOWN",
    "SLAVEOF",
    "SLOWLOG",
    "SUBSCRIBE",
    "SWAPDB",
    "SYNC",
    "TIME",
    "UNSUBSCRIBE",
    "UNWATCH",
    "WAIT",
    "WAITAOF",
];

/// Commands of which all arguments are keys that have to be together.
const TOGETHER: &[&str] = &[
    "PFCOUNT",
    "PFMERGE",
    "RENAME",
    "RENAMENX",
    "SDIFF",
    "SDIFFSTORE",
    "SINTER",
    "SINTERSTORE",
    "SUNION",
    "SUNIONSTORE",
    "WATCH",
];

/// Commands of which the first two arguments are keys that have to be together.
const TWO: &[&str] = &[
    "COPY",
    "LCS",
    "LMOVE",
    "RPOPLPUSH",
    "BRPOPLPUSH",
    "BLMOVE",
    "SMOVE",
    "ZRANGESTORE",
    "GEOSEARCHSTORE",
];

/// Commands whose second argument says how many keys follow it.
const NUMBERED: &[&str] = &[
    "LMPOP",
    "SINTERCARD",
    "ZDIFF",
    "ZINTER",
    "ZINTERCARD",
    "ZMPOP",
    "ZUNION",
];

/// Commands whose third argument says so.
const NUMBERED_LATER: &[&str] = &[
    "BLMPOP",
    "BZMPOP",
    "EVAL",
    "EVALSHA",
    "EVALSHA_RO",
    "EVAL_RO",
    "FCALL",
    "FCALL_RO",
];

/// Returns the keys of a command: of one that is not known, the first argument. Commands whose keys stand after a word of
/// their own, such as `XREAD … STREAMS`, are not known.
#[must_use]
pub fn keys_of(args: &[&[u8]]) -> Keys {
    let name = args
        .first()
        .map(|name| String::from_utf8_lossy(name).to_ascii_uppercase())
        .unwrap_or_default();
    let is = |names: &[&str]| names.contains(&&*name);
    let number = |at: usize| {
        args.get(at)
            .and_then(|arg| std::str::from_utf8(arg).ok()?.parse::<usize>().ok())
    };
    let counted = |at: usize| match number(at) {
        None | Some(0) => Keys::None,
        Some(count) => Keys::Together(at + 1, (at + 1).saturating_add(count).min(args.len())),
    };
    match &*name {
        _ if args.len() < 2 || is(WITHOUT) => Keys::None,
        "DEL" | "UNLINK" | "EXISTS" | "TOUCH" => Keys::Counted,
        "MGET" => Keys::Listed,
        "MSET" => Keys::Pairs,
        // All or nothing, which no two endpoints can promise.
        "MSETNX" => Keys::PairsTogether,
        "OBJECT" | "MEMORY" | "DEBUG" | "XGROUP" | "XINFO" => Keys::One(2),
        "BITOP" => Keys::Together(2, args.len()),
        "BLPOP" | "BRPOP" | "BZPOPMIN" | "BZPOPMAX" => Keys::Together(1, args.len() - 1),
        _ if is(TOGETHER) => Keys::Together(1, args.len()),
        _ if is(TWO) => Keys::Together(1, args.len().min(3)),
        _ if is(NUMBERED) => counted(1),
        _ if is(NUMBERED_LATER) => counted(2),
        _ => Keys::One(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_those_of_a_redis_cluster() {
        // The examples of its specification.
        for (key, tag) in [
            ("{user1000}.following", "user1000"),
            ("{user1000}.followers", "user1000"),
            ("foo{}{bar}", "foo{}{bar}"),
            ("foo{{bar}}zap", "{bar"),
            ("foo{bar}{zap}", "bar"),
            ("", ""),
            ("{", "{"),
            ("}{", "}{"),
            ("a}{b}", "b"),
        ] {
            assert_eq!(hash_tag(key.as_bytes()), tag.as_bytes(), "{key}");
        }
    }

    #[test]
    fn commands_have_their_keys() {
        let keys = |command: &str| keys_of(&command.split(' ').map(str::as_bytes).collect::<Vec<_>>());
        for (command, expected) in [
            ("GET k", Keys::One(1)),
            ("hset k f v", Keys::One(1)),
            ("MGET a b", Keys::Listed),
            ("mset a 1 b 2", Keys::Pairs),
            ("DEL a b", Keys::Counted),
            ("OBJECT ENCODING k", Keys::One(2)),
            ("EVAL script 2 a b c", Keys::Together(3, 5)),
            ("EVAL script 0", Keys::None),
            ("EVAL script 18446744073709551615 a", Keys::Together(3, 4)),
            ("SINTERCARD 2 a b LIMIT 1", Keys::Together(2, 4)),
            ("RENAME a b", Keys::Together(1, 3)),
            ("BLPOP a b 0", Keys::Together(1, 3)),
            ("MSETNX a 1", Keys::PairsTogether),
            ("PING", Keys::None),
            ("PING hello", Keys::None),
            ("GET", Keys::None),
        ] {
            assert_eq!(keys(command), expected, "{command}");
        }
    }
}
