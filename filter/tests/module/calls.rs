//! The host calls of proxy-wasm's ABI 0.2.1 that a filter for connections and requests can use, as Envoy 1.40 answers them.

use crate::{
    host::Guest,
    world::{HttpCall, Kind, Metric, Status},
};

type Answer = fn(&mut Guest<'_>, &[u64]) -> Result<(), Status>;

/// A host call.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) answer: Answer,
}

/// Finds a host call. What is not here is not implemented.
pub(crate) fn find(name: &str) -> Call {
    let known = CALLS.iter().find(|(known, ..)| *known == name);
    let (name, kind, answer) = known.copied().unwrap_or(("unknown", Kind::Nothing, unknown));
    Call { name, kind, answer }
}

const CALLS: [(&str, Kind, Answer); 21] = [
    ("proxy_log", Kind::Nothing, log),
    ("proxy_get_current_time_nanoseconds", Kind::Number, time),
    ("proxy_set_tick_period_milliseconds", Kind::Nothing, set_tick_period),
    ("proxy_set_effective_context", Kind::Nothing, set_effective_context),
    ("proxy_get_property", Kind::Octets, get_property),
    ("proxy_set_property", Kind::Nothing, set_property),
    ("proxy_get_buffer_bytes", Kind::Octets, get_buffer),
    ("proxy_get_header_map_value", Kind::Octets, get_header),
    ("proxy_get_header_map_pairs", Kind::Fields, get_fields),
    ("proxy_replace_header_map_value", Kind::Nothing, replace_field),
    ("proxy_remove_header_map_value", Kind::Nothing, remove_field),
    ("proxy_send_local_response", Kind::Nothing, send_local_response),
    ("proxy_define_metric", Kind::Number, define_metric),
    ("proxy_increment_metric", Kind::Nothing, increment_metric),
    ("proxy_record_metric", Kind::Nothing, record_metric),
    ("proxy_http_call", Kind::Number, http_call),
    ("proxy_close_stream", Kind::Nothing, close_stream),
    ("proxy_continue_stream", Kind::Nothing, continue_stream),
    ("proxy_call_foreign_function", Kind::Octets, call_foreign_function),
    ("proxy_get_shared_data", Kind::Octets, get_shared_data),
    ("proxy_set_shared_data", Kind::Nothing, set_shared_data),
];

/// Kinds of metrics.
const COUNTER: u32 = 0;
const GAUGE: u32 = 1;

/// The numbers of requests and of downstream connections among streams.
const REQUEST: u64 = 0;
const DOWNSTREAM: u64 = 2;

fn unknown(_: &mut Guest<'_>, _: &[u64]) -> Result<(), Status> {
    Err(Status::UNIMPLEMENTED)
}

/// Takes the numbers that a host call is given.
fn given<const N: usize>(arguments: &[u64]) -> Result<[u64; N], Status> {
    arguments.try_into().map_err(|_| Status::BAD_ARGUMENT)
}

fn narrow(number: u64) -> Result<u32, Status> {
    u32::try_from(number).map_err(|_| Status::BAD_ARGUMENT)
}

fn log(guest: &mut Guest<'_>, arguments: &[u64]) -> Result<(), Status> {
    let [_level, text, length] = given(arguments)?;
    let line = guest.text(text, length)?;
    guest.world().log.push(line);
    Ok(())
}

fn time(guest: &mut Guest<'_>, arguments: &[u64]) -> Result<(), Status> {
    let [result] = given(arguments)?;
    let world = guest.world();
    world.time += world.clock_step;
    let time = world.time;
    guest.give_long(result, time)
}

fn set_tick_period(guest: &mut Guest<'_>, arguments: &[u64]) -> Result<(), Status> {
    let [period] = given(arguments)?;
    guest.world().tick_ms = Some(narrow(period)?);
    Ok(())
}

fn set_effective_context(guest: &mut Guest<'_>, arguments: &[u64]) -> Result<(), Status> {
    let [context] = given(arguments)?;
    let context = narrow(context)?;
    if context != crate::host::ROOT && !guest.world().connections.contains_key(&context) {
        return Err(Status::BAD_ARGUMENT);
    }
    guest.world().context = context;
    Ok(())
}

fn get_property(guest: &mut Guest<'_>, arguments: &[u64]) -> Result<(), Status> {
    let [path, path_length, value, length] = given(arguments)?;
    // Envoy takes a zero after the last part too.
    let path = guest.text(path, path_length)?;
    let path = path.strip_suffix('\0').unwrap_or(&path).replace('\0', ".");
    let connection = guest.world().connection().ok_or(Status::NOT_FOUND)?;
    let octets = connection.properties.get(&path).cloned().ok_or(Status::NOT_FOUND)?;
    guest.give(value, length, &octets)
}

fn set_property(guest: &mut Guest<'_>, arguments: &[u64]) -> Result<(), Status> {
    let [path, path_length, value, length] = given(arguments)?;
    let (key, value) = (guest.text(path, path_length)?, guest.text(value, length)?);
    let connection = guest.world().connection().ok_or(Status::NOT_FOUND)?;
    connection.filter_state.insert(key, value);
    Ok(())
}

fn get_buffer(guest: &mut Guest<'_>, arguments: &[u64]) -> Result<(), Status> {
    let [buffer, start, most, value, length] = given(arguments)?;
    let world = guest.world();
    let octets = match buffer {
        4 => &world.http_response.as_ref().ok_or(Status::NOT_FOUND)?.body,
        7 => &world.configuration,
        _ => return Err(Status::NOT_FOUND),
    };
    if start + most > u64::from(u32::MAX) {
        return Err(Status::BAD_ARGUMENT);
    }
    let end = octets.len().min(usize::try_from(start + most).unwrap());
    let octets = octets
        .get(usize::try_from(start).unwrap()..end)
        .unwrap_or_default()
        .to_vec();
    // Of nothing, Envoy says nothing.
    if octets.is_empty() {
        Ok(())
    } else {
        guest.give(value, length, &octets)
    }
}

/// Returns the headers of an answer to the filter's own request.
fn headers(guest: &mut Guest<'_>, map: u64) -> Result<Vec<(String, Vec<u8>)>, Status> {
    let response = guest.world().http_response.as_ref().ok_or(Status::NOT_FOUND)?;
    match map {
        6 => Ok(response.headers.clone()),
        7 => Ok(Vec::new()),
        _ => Err(Status::BAD_ARGUMENT),
    }
}

fn get_header(guest: &mut Guest<'_>, arguments: &[u64]) -> Result<(), Status> {
    let [map, name, name_length, value, length] = given(arguments)?;
    let name = guest.text(name, name_length)?;
    let headers = headers(guest, map)?;
    let (_, octets) = headers
        .into_iter()
        .find(|(key, _)| *key == name)
        .ok_or(Status::NOT_FOUND)?;
    guest.give(value, length, &octets)
}

fn define_metric(guest: &mut Guest<'_>, arguments: &[u64]) -> Result<(), Status> {
    let [kind, name, name_length, result] = given(arguments)?;
    let (kind, name) = (narrow(kind)?, guest.text(name, name_length)?);
    let metrics = &mut guest.world().metrics;
    let number = metrics
        .iter()
        .position(|metric| metric.name == name)
        .unwrap_or_else(|| {
            metrics.push(Metric { kind, name, value: 0 });
            metrics.len() - 1
        });
    // Numbers of Envoy's bear the kind, and are not 0.
    guest.give_word(result, 4 * u32::try_from(number + 1).unwrap() + kind)
}

fn metric<'a>(guest: &'a mut Guest<'_>, number: u64, kind: u32) -> Result<&'a mut Metric, Status> {
    let index = usize::try_from(number / 4)
        .unwrap()
        .checked_sub(1)
        .ok_or(Status::NOT_FOUND)?;
    let metric = guest.world().metrics.get_mut(index).ok_or(Status::NOT_FOUND)?;
    if metric.kind == kind {
        Ok(metric)
    } else {
        Err(Status::BAD_ARGUMENT)
    }
}

fn increment_metric(guest: &mut Guest<'_>, arguments: &[u64]) -> Result<(), Status> {
    let [number, offset] = given(arguments)?;
    let metric = metric(guest, number, COUNTER)?;
    metric.value = metric.value.wrapping_add(offset);
    Ok(())
}

fn record_metric(guest: &mut Guest<'_>, arguments: &[u64]) -> Result<(), Status> {
    let [number, value] = given(arguments)?;
    metric(guest, number, GAUGE)?.value = value;
    Ok(())
}

fn http_call(guest: &mut Guest<'_>, arguments: &[u64]) -> Result<(), Status> {
    let [
        cluster,
        cluster_length,
        headers,
        headers_length,
        _,
        _,
        _,
        _,
        timeout,
        result,
    ] = given(arguments)?;
    let cluster = guest.text(cluster, cluster_length)?;
    let headers = pairs(&guest.octets(headers, headers_length)?).ok_or(Status::BAD_ARGUMENT)?;
    if [":method", ":path", ":authority"]
        .iter()
        .any(|name| headers.iter().all(|(key, _)| key != name))
    {
        return Err(Status::BAD_ARGUMENT);
    }
    let world = guest.world();
    world.requests += 1;
    let token = world.requests;
    let timeout_ms = narrow(timeout)?;
    world.http_calls.push(HttpCall {
        token,
        cluster,
        headers,
        timeout_ms,
        until: world.time.saturating_add(u64::from(timeout_ms) * 1_000_000),
    });
    guest.give_word(result, token)
}

/// Reads headers as proxy-wasm writes them: how many, their lengths, then each key and value with a zero after it.
fn pairs(octets: &[u8]) -> Option<Vec<(String, String)>> {
    let word = |number: usize| {
        let octets = octets.get(number * 4..number * 4 + 4)?;
        usize::try_from(u32::from_le_bytes(octets.try_into().ok()?)).ok()
    };
    let count = word(0)?;
    let mut start = 4 + count * 8;
    let mut text = |length: usize| {
        let text = String::from_utf8(octets.get(start..start + length)?.to_vec()).ok()?;
        start += length + 1;
        (octets.get(start - 1) == Some(&0)).then_some(text)
    };
    let read = (0..count).map(|pair| Some((text(word(1 + 2 * pair)?)?, text(word(2 + 2 * pair)?)?)));
    let read: Option<Vec<_>> = read.collect();
    read.filter(|_| start == octets.len())
}

fn close_stream(guest: &mut Guest<'_>, arguments: &[u64]) -> Result<(), Status> {
    let [DOWNSTREAM] = given(arguments)? else {
        return Err(Status::UNIMPLEMENTED);
    };
    guest.world().connection().ok_or(Status::NOT_FOUND)?.closed = true;
    Ok(())
}

fn continue_stream(guest: &mut Guest<'_>, arguments: &[u64]) -> Result<(), Status> {
    let [REQUEST | DOWNSTREAM] = given(arguments)? else {
        return Err(Status::UNIMPLEMENTED);
    };
    guest.world().connection().ok_or(Status::NOT_FOUND)?.admitted = true;
    Ok(())
}

/// Returns the header fields of the request that host calls are about.
fn fields<'a>(guest: &'a mut Guest<'_>, map: u64) -> Result<&'a mut Vec<(String, Vec<u8>)>, Status> {
    let request = guest.world().connection().filter(|_| map == 0);
    request
        .and_then(|request| request.fields.as_mut())
        .ok_or(Status::BAD_ARGUMENT)
}

fn get_fields(guest: &mut Guest<'_>, arguments: &[u64]) -> Result<(), Status> {
    let [map, pointer, length] = given(arguments)?;
    let fields = fields(guest, map)?.clone();
    let word = |length: usize| u32::try_from(length).unwrap().to_le_bytes();
    let mut octets = word(fields.len()).to_vec();
    for (name, value) in &fields {
        octets.extend([word(name.len()), word(value.len())].concat());
    }
    for (name, value) in &fields {
        octets.extend([name.as_bytes(), b"\0", value, b"\0"].concat());
    }
    guest.give(pointer, length, &octets)
}

fn remove_field(guest: &mut Guest<'_>, arguments: &[u64]) -> Result<(), Status> {
    let [map, name, name_length] = given(arguments)?;
    let name = guest.text(name, name_length)?;
    fields(guest, map)?.retain(|(known, _)| *known != name);
    Ok(())
}

fn replace_field(guest: &mut Guest<'_>, arguments: &[u64]) -> Result<(), Status> {
    let [map, name, name_length, value, length] = given(arguments)?;
    let (name, value) = (guest.text(name, name_length)?, guest.octets(value, length)?);
    let fields = fields(guest, map)?;
    fields.retain(|(known, _)| *known != name);
    fields.push((name, value));
    Ok(())
}

fn send_local_response(guest: &mut Guest<'_>, arguments: &[u64]) -> Result<(), Status> {
    let [status, _, _, _, _, headers, headers_length, _] = given(arguments)?;
    let headers = pairs(&guest.octets(headers, headers_length)?).ok_or(Status::BAD_ARGUMENT)?;
    let (name, value) = headers.into_iter().next().unwrap_or_default();
    let request = guest.world().connection().ok_or(Status::BAD_ARGUMENT)?;
    request.answer = Some((narrow(status)?, name, value));
    request.closed = true;
    Ok(())
}

fn call_foreign_function(guest: &mut Guest<'_>, arguments: &[u64]) -> Result<(), Status> {
    let [name, name_length, message, message_length, value, length] = given(arguments)?;
    match guest.text(name, name_length)?.as_str() {
        "set_envoy_filter_state" => {}
        "clear_route_cache" => return guest.give(value, length, &[]),
        _ => return Err(Status::NOT_FOUND),
    }
    let message = guest.octets(message, message_length)?;
    let (path, state, span) = filter_state(&message).ok_or(Status::BAD_ARGUMENT)?;
    guest
        .world()
        .connection()
        .ok_or(Status::NOT_FOUND)?
        .states
        .insert(path, (state, span));
    guest.give(value, length, &[])
}

/// Reads `SetEnvoyFilterStateArguments`: protobuf, 1 path, 2 value, 3 span.
fn filter_state(message: &[u8]) -> Option<(String, String, u8)> {
    let (mut path, mut value, mut span) = (String::new(), String::new(), 0);
    let mut rest = message.iter().copied();
    while let Some(tag) = rest.next() {
        let mut number = 0_usize;
        for shift in (0..28).step_by(7) {
            let octet = rest.next()?;
            number |= usize::from(octet & 0x7f) << shift;
            if octet < 0x80 {
                break;
            }
        }
        let mut text = || {
            let octets: Vec<u8> = rest.by_ref().take(number).collect();
            String::from_utf8(octets).ok().filter(|text| text.len() == number)
        };
        match tag {
            0x0a => path = text()?,
            0x12 => value = text()?,
            0x18 => span = u8::try_from(number).ok()?,
            _ => return None,
        }
    }
    Some((path, value, span))
}

fn get_shared_data(guest: &mut Guest<'_>, arguments: &[u64]) -> Result<(), Status> {
    let [key, key_length, value, length, cas] = given(arguments)?;
    let key = guest.octets(key, key_length)?;
    let (octets, version) = guest.world().shared.get(&key).cloned().ok_or(Status::NOT_FOUND)?;
    guest.give(value, length, &octets)?;
    guest.give_word(cas, version)
}

fn set_shared_data(guest: &mut Guest<'_>, arguments: &[u64]) -> Result<(), Status> {
    let [key, key_length, value, length, version] = given(arguments)?;
    let (key, value) = (guest.octets(key, key_length)?, guest.octets(value, length)?);
    let known = guest.world().shared.get(&key).map_or(0, |(_, version)| *version);
    // Version 0 writes over any.
    if version != 0 && version != u64::from(known) {
        return Err(Status::CAS_MISMATCH);
    }
    guest.world().shared.insert(key, (value, known + 1));
    Ok(())
}
