//! A linked module, taken apart: what it imports and exports, and which function calls which.

use std::collections::{BTreeMap, BTreeSet};

use wasmparser::{
    ConstExpr, Data, DataKind, Element, ElementItems, ElementKind, ExternalKind, FunctionBody, Operator, Parser,
    Payload, TypeRef,
};

/// The number of a function in its module: imports come first.
pub(crate) type Function = u32;

/// A module.
#[derive(Default)]
pub(crate) struct Image {
    /// What is imported: module and name.
    pub(crate) imports: Vec<(String, String)>,
    /// What is exported, with the function that it is where it is one.
    pub(crate) exports: BTreeMap<String, Option<Function>>,
    /// What each function that is not imported does.
    pub(crate) bodies: BTreeMap<Function, Body>,
    /// Functions by the number of their type: those that can be called through the table.
    indirect: BTreeMap<u32, BTreeSet<Function>>,
    names: BTreeMap<Function, String>,
    memory: Vec<u8>,
}

/// What a function does, as far as it matters here.
#[derive(Default)]
pub(crate) struct Body {
    /// Calls, in order, each with the constants that stand before it.
    pub(crate) calls: Vec<Call>,
    /// Types of functions that are called through the table.
    pub(crate) indirect: BTreeSet<u32>,
    /// How many times it traps by itself: `unreachable` that follows no call.
    pub(crate) traps: usize,
    /// All constants.
    constants: BTreeSet<u32>,
}

/// A call of a known function.
pub(crate) struct Call {
    pub(crate) callee: Function,
    /// Constants that it may be given, the nearest last.
    constants: Vec<u32>,
}

/// Functions that can be reached, each with where it was reached from first; exports from nowhere.
#[derive(Default)]
pub(crate) struct Reached(BTreeMap<Function, Option<From>>);

impl Reached {
    pub(crate) fn functions(&self) -> impl Iterator<Item = Function> {
        self.0.keys().copied()
    }
}

#[derive(Clone, Copy)]
struct From {
    caller: Function,
    table: bool,
}

impl Image {
    /// Takes a module apart. Its functions have names if there is a map of it.
    pub(crate) fn new(wasm: &[u8], map: Option<&str>) -> Self {
        let mut symbols = map.map(|map| symbols(map).into_iter());
        let mut image = Self::default();
        let mut types = Vec::new();
        let mut bodies = 0;
        let mut table = BTreeSet::new();
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload.expect("the linker makes sound modules");
            match payload {
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let import = import.unwrap();
                        image.imports.push((import.module.to_owned(), import.name.to_owned()));
                        if let TypeRef::Func(number) = import.ty {
                            types.push(number);
                        }
                    }
                    bodies = u32::try_from(types.len()).unwrap();
                }
                Payload::FunctionSection(functions) => types.extend(functions.into_iter().map(Result::unwrap)),
                Payload::ExportSection(exports) => {
                    for export in exports {
                        let export = export.unwrap();
                        let function = (export.kind == ExternalKind::Func).then_some(export.index);
                        image.exports.insert(export.name.to_owned(), function);
                    }
                }
                Payload::StartSection { func, .. } => {
                    image.exports.insert("(start)".to_owned(), Some(func));
                }
                Payload::ElementSection(elements) => {
                    for element in elements {
                        table.extend(members(element.unwrap()));
                    }
                }
                Payload::DataSection(segments) => {
                    for segment in segments {
                        image.place(&segment.unwrap());
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    if let Some(symbols) = &mut symbols {
                        let (size, name) = symbols.next().expect("the map has every function");
                        let own = body.range().end - body.range().start;
                        // The map counts the length before the code too: 1 to 5 octets.
                        assert!(
                            (own + 1..=own + 5).contains(&size),
                            "{name}: {own} octets, and {size} in the map"
                        );
                        image.names.insert(bodies, name);
                    }
                    image.bodies.insert(bodies, Body::new(&body));
                    bodies += 1;
                }
                _ => {}
            }
        }
        for function in table {
            image
                .indirect
                .entry(types[function as usize])
                .or_default()
                .insert(function);
        }
        image
    }

    fn place(&mut self, segment: &Data<'_>) {
        let DataKind::Active { offset_expr, .. } = &segment.kind else {
            return;
        };
        let start = constant(offset_expr) as usize;
        let end = start + segment.data.len();
        self.memory.resize(end.max(self.memory.len()), 0);
        self.memory[start..end].copy_from_slice(segment.data);
    }

    /// Returns a function's name without its hash; its number where it has none.
    pub(crate) fn name(&self, function: Function) -> String {
        match self.names.get(&function) {
            Some(name) => name.clone(),
            None => format!("function {function}"),
        }
    }

    fn callees(&self, function: Function) -> BTreeSet<Function> {
        let body = self.bodies.get(&function);
        body.into_iter()
            .flat_map(|body| &body.calls)
            .map(|call| call.callee)
            .collect()
    }

    /// Returns what a function may call through the table: whatever has a type that it calls.
    fn indirect_callees(&self, function: Function) -> BTreeSet<Function> {
        let types = self.bodies.get(&function).into_iter().flat_map(|body| &body.indirect);
        types
            .filter_map(|number| self.indirect.get(number))
            .flatten()
            .copied()
            .collect()
    }

    /// Returns the functions that exports reach, without going into those that `ends`.
    pub(crate) fn reached(&self, ends: impl Fn(Function) -> bool) -> Reached {
        let mut reached = Reached::default();
        let exports = self.exports.values().flatten();
        let mut next: Vec<(Function, Option<From>)> = exports.map(|function| (*function, None)).collect();
        // Ways by few calls through the table come first, for many of those cannot be; then short ways.
        while !next.is_empty() {
            let before = reached.0.len();
            while !next.is_empty() {
                let mut later = Vec::new();
                for (function, from) in next {
                    if reached.0.contains_key(&function) {
                        continue;
                    }
                    reached.0.insert(function, from);
                    if !ends(function) {
                        let from = Some(From {
                            caller: function,
                            table: false,
                        });
                        later.extend(self.callees(function).into_iter().map(|callee| (callee, from)));
                    }
                }
                next = later;
            }
            if reached.0.len() > before {
                let callers = reached.0.keys().copied().filter(|function| !ends(*function));
                let through = |caller| {
                    let from = Some(From { caller, table: true });
                    self.indirect_callees(caller)
                        .into_iter()
                        .map(move |callee| (callee, from))
                };
                next = callers.flat_map(through).collect();
            }
        }
        reached
    }

    /// Returns the way from an export to a function; `~>` is a call through the table.
    pub(crate) fn way(&self, reached: &Reached, function: Function) -> String {
        match reached.0.get(&function).copied().flatten() {
            None => self.name(function),
            Some(From { caller, table }) => {
                let arrow = if table { "~>" } else { ">" };
                format!("{} {arrow} {}", self.way(reached, caller), self.name(function))
            }
        }
    }

    /// Returns the place in the source that a call of a panicking function hands on: `file:line`. Where the compiler
    /// gave several calls one end, those of the whole function.
    pub(crate) fn locations(&self, function: Function, call: &Call) -> BTreeSet<String> {
        let own: BTreeSet<String> = call
            .constants
            .iter()
            .rev()
            .find_map(|address| self.location(*address))
            .into_iter()
            .collect();
        if !own.is_empty() {
            return own;
        }
        let all = self.bodies.get(&function).into_iter().flat_map(|body| &body.constants);
        all.filter_map(|address| self.location(*address)).collect()
    }

    /// Reads a `core::panic::Location`: the file's name with its length, line and column.
    fn location(&self, address: u32) -> Option<String> {
        let word = |number: u32| {
            let start = usize::try_from(address.checked_add(number * 4)?).ok()?;
            let octets = self.memory.get(start..start.checked_add(4)?)?;
            Some(u32::from_le_bytes(octets.try_into().ok()?) as usize)
        };
        let (start, length, line) = (word(0)?, word(1)?, word(2)?);
        let file = std::str::from_utf8(self.memory.get(start..start.checked_add(length)?)?).ok()?;
        let plausible = file.strip_suffix(".rs").is_some() && length < 300 && line < 100_000 && !file.contains('\0');
        plausible.then(|| format!("{}:{line}", short(file)))
    }
}

impl Body {
    fn new(body: &FunctionBody<'_>) -> Self {
        let mut this = Self::default();
        let mut constants = Vec::new();
        let mut after_call = false;
        let mut flow = Flow::default();
        for operator in body.get_operators_reader().unwrap() {
            let operator = operator.unwrap();
            let mut call = false;
            match operator {
                Operator::I32Const { value } => {
                    this.constants.insert(value.cast_unsigned());
                    constants.push(value.cast_unsigned());
                }
                Operator::Call { function_index: callee } | Operator::ReturnCall { function_index: callee } => {
                    let constants = std::mem::take(&mut constants);
                    this.calls.push(Call { callee, constants });
                    call = true;
                }
                Operator::CallIndirect { type_index, .. } | Operator::ReturnCallIndirect { type_index, .. } => {
                    constants.clear();
                    this.indirect.insert(type_index);
                    call = true;
                }
                // After a call it says that the callee does not return: that one is judged by itself.
                Operator::Unreachable if flow.lives() && !after_call => this.traps += 1,
                _ => {}
            }
            flow.step(&operator);
            after_call = call;
        }
        this
    }
}

/// Whether the code that is being read can be come to.
#[derive(Default)]
struct Flow {
    dead: bool,
    /// The blocks around it: whether each could be come to, whether its end can, and whether it is a loop.
    blocks: Vec<Block>,
}

#[derive(Clone, Copy)]
struct Block {
    dead: bool,
    left: bool,
    again: bool,
}

impl Flow {
    const fn lives(&self) -> bool {
        !self.dead
    }

    fn leave(&mut self, depth: u32) {
        let block = self.blocks.len().checked_sub(depth as usize + 1);
        // Past the outermost block, the function returns.
        if let Some(block) = block.and_then(|index| self.blocks.get_mut(index)) {
            block.left |= !self.dead && !block.again;
        }
    }

    fn step(&mut self, operator: &Operator<'_>) {
        match operator {
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => self.blocks.push(Block {
                dead: self.dead,
                // Without an `else`, what is not so goes past it.
                left: matches!(operator, Operator::If { .. }) && !self.dead,
                again: matches!(operator, Operator::Loop { .. }),
            }),
            Operator::Else => {
                let block = self.blocks.last_mut().expect("an else stands in an if");
                // The first arm may come to the end. The condition did not lead past both.
                block.left = !self.dead || block.left;
                self.dead = block.dead;
            }
            Operator::End => {
                if let Some(block) = self.blocks.pop() {
                    self.dead = self.dead && !block.left;
                }
            }
            Operator::Br { relative_depth } => {
                self.leave(*relative_depth);
                self.dead = true;
            }
            Operator::BrIf { relative_depth } => self.leave(*relative_depth),
            Operator::BrTable { targets } => {
                for target in targets.targets() {
                    self.leave(target.unwrap());
                }
                self.leave(targets.default());
                self.dead = true;
            }
            Operator::Return
            | Operator::Unreachable
            | Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. } => {
                self.dead = true;
            }
            _ => {}
        }
    }
}

fn members(element: Element<'_>) -> Vec<Function> {
    assert!(
        matches!(element.kind, ElementKind::Active { .. }),
        "the linker writes active segments"
    );
    match element.items {
        ElementItems::Functions(functions) => functions.into_iter().map(Result::unwrap).collect(),
        ElementItems::Expressions(..) => panic!("the linker writes functions"),
    }
}

fn constant(expression: &ConstExpr<'_>) -> u32 {
    match expression.get_operators_reader().read() {
        Ok(Operator::I32Const { value }) => value.cast_unsigned(),
        other => panic!("the linker writes constants: {other:?}"),
    }
}

/// Reads the linker's map: the size of each function and its name without its hash, in their order.
fn symbols(map: &str) -> Vec<(usize, String)> {
    let function = |line: &str| {
        // `Addr Off Size FILE:(SYMBOL)`, in hexadecimal; code has no address.
        let (numbers, symbol) = line.strip_suffix(')')?.rsplit_once(":(")?;
        let mut numbers = numbers.split_whitespace();
        let ("-", _, size) = (numbers.next()?, numbers.next()?, numbers.next()?) else {
            return None;
        };
        let name = format!("{:#}", rustc_demangle::demangle(symbol));
        Some((usize::from_str_radix(size, 16).ok()?, name))
    };
    map.lines().filter_map(function).collect()
}

/// Shortens the path of a source file to what is the same on every machine: from the standard library's folder on, or
/// from the crate's, which bears its version.
fn short(file: &str) -> &str {
    let after = |start: &str| file.split_once(start).map(|(_, rest)| rest);
    // The name of the registry comes before the crate.
    let crates = after("/registry/src/").and_then(|rest| rest.split_once('/'));
    crates
        .map(|(_, rest)| rest)
        .or_else(|| after("/rust/deps/"))
        .or_else(|| after("/library/vendor/"))
        .or_else(|| after("/library/"))
        .unwrap_or(file)
}
