//! A small proxy-wasm host: it loads the module, calls it as Envoy does and answers its host calls from a [`World`].

use std::sync::OnceLock;

use wasmtime::{Caller, Config, Engine, Extern, Instance, Linker, Memory, Module, OptLevel, Store, Val};

use crate::{
    calls,
    world::{Connection, How, HttpResponse, Status, World},
};

/// More instructions than any callback needs: what uses them up never ends.
const FUEL: u64 = 2_000_000_000;

/// The context of the plugin.
pub(crate) const ROOT: u32 = 1;

/// A callback that trapped, which in Envoy ends the VM; or one that does not end.
#[derive(Debug)]
pub(crate) struct Trap(pub(crate) String);

/// The module, ready to be run many times.
pub(crate) struct Loaded {
    engine: Engine,
    module: Module,
    linker: Linker<World>,
}

impl Loaded {
    fn new(wasm: &[u8]) -> Self {
        let mut config = Config::new();
        // The module is compiled by a compiler that is not optimised itself: the least work is the fastest.
        config.consume_fuel(true).cranelift_opt_level(OptLevel::None);
        let engine = Engine::new(&config).expect("fuel can be counted");
        let module = Module::new(&engine, wasm).expect("a module");
        let mut linker = Linker::new(&engine);
        for import in module.imports() {
            let ty = import.ty().unwrap_func().clone();
            let call = calls::find(import.name());
            linker
                .func_new(import.module(), import.name(), ty, move |caller, arguments, results| {
                    let status = Guest::answer(caller, call, arguments);
                    if let Some(result) = results.first_mut() {
                        *result = Val::I32(status.cast_signed());
                    }
                    Ok(())
                })
                .expect("each is imported once");
        }
        Self { engine, module, linker }
    }

    /// Returns the module under test.
    pub(crate) fn shipped() -> &'static Self {
        static LOADED: OnceLock<Loaded> = OnceLock::new();
        LOADED.get_or_init(|| Self::new(crate::build::shipped()))
    }
}

/// The module in one VM.
pub(crate) struct Vm {
    store: Store<World>,
    instance: Instance,
    last: u32,
}

impl Vm {
    /// Loads the module.
    pub(crate) fn new(world: World) -> Result<Self, Trap> {
        let loaded = Loaded::shipped();
        let mut store = Store::new(&loaded.engine, world);
        store.set_fuel(FUEL).unwrap();
        let instance = loaded
            .linker
            .instantiate(&mut store, &loaded.module)
            .map_err(|error| Trap(format!("start: {error:#}")))?;
        let mut vm = Self {
            store,
            instance,
            last: ROOT,
        };
        vm.call("_initialize", &[])?;
        Ok(vm)
    }

    /// Starts the plugin, and says whether it took its configuration.
    pub(crate) fn configure(&mut self, configuration: &str) -> Result<bool, Trap> {
        self.world().configuration = configuration.into();
        self.call("proxy_on_context_create", &[ROOT, 0])?;
        let started = self.call("proxy_on_vm_start", &[ROOT, 0])?;
        self.reconfigure(configuration)
            .map(|configured| configured && started != Some(0))
    }

    /// Hands the plugin a configuration.
    pub(crate) fn reconfigure(&mut self, configuration: &str) -> Result<bool, Trap> {
        self.world().configuration = configuration.into();
        let size = u32::try_from(configuration.len()).unwrap();
        Ok(self.call("proxy_on_configure", &[ROOT, size])? != Some(0))
    }

    /// Makes a connection, and returns its context.
    pub(crate) fn connect(&mut self, source: &str, destination: &str) -> Result<u32, Trap> {
        self.last += 1;
        let context = self.last;
        let mut connection = Connection::default();
        connection.properties.insert("source.address".to_owned(), source.into());
        connection
            .properties
            .insert("destination.address".to_owned(), destination.into());
        self.world().connections.insert(context, connection);
        self.call("proxy_on_context_create", &[context, ROOT])?;
        let passes = self.call("proxy_on_new_connection", &[context])? != Some(1);
        self.connection(context).admitted |= passes;
        Ok(context)
    }

    /// Makes a request with these header fields, and returns its context.
    pub(crate) fn request(&mut self, source: &str, destination: &str, fields: &[(&str, &str)]) -> Result<u32, Trap> {
        self.last += 1;
        let context = self.last;
        let fields = fields.iter();
        let fields = fields.map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
        let mut request = Connection {
            fields: Some(fields.collect()),
            ..Connection::default()
        };
        for (name, value) in [
            ("source.address", source),
            ("destination.address", destination),
            ("request.protocol", "HTTP/1.1"),
        ] {
            request.properties.insert(name.to_owned(), value.into());
        }
        self.world().connections.insert(context, request);
        self.call("proxy_on_context_create", &[context, ROOT])?;
        let count = self.connection(context).fields.as_ref().map_or(0, Vec::len);
        let count = u32::try_from(count).unwrap();
        let passes = self.call("proxy_on_request_headers", &[context, count, 1])? != Some(1);
        let request = self.connection(context);
        // What was answered goes no further.
        request.admitted |= passes && request.answer.is_none();
        Ok(context)
    }

    /// Delivers bytes from the client, and says whether they pass.
    pub(crate) fn data(&mut self, context: u32) -> Result<bool, Trap> {
        let passes = self.call("proxy_on_downstream_data", &[context, 5, 0])? != Some(1);
        // Envoy runs the filters after this one when octets pass, whatever became of the connection before.
        if let Some(connection) = self.world().connections.get_mut(&context) {
            connection.admitted |= passes;
        }
        Ok(passes)
    }

    /// Ends a connection.
    pub(crate) fn close(&mut self, context: u32) -> Result<(), Trap> {
        self.call("proxy_on_done", &[context])?;
        self.call("proxy_on_log", &[context])?;
        self.call("proxy_on_delete", &[context])?;
        self.world().connections.remove(&context);
        Ok(())
    }

    /// Lets time pass and the plugin's clock tick. Requests whose time is up fail first.
    pub(crate) fn tick(&mut self, milliseconds: u64) -> Result<(), Trap> {
        let world = self.world();
        world.time += milliseconds * 1_000_000;
        let late = world.http_calls.iter().filter(|call| call.until <= world.time);
        let late: Vec<u32> = late.map(|call| call.token).collect();
        for token in late {
            self.respond(token, None)?;
        }
        self.call("proxy_on_tick", &[ROOT])?;
        Ok(())
    }

    /// Answers a request; no answer is a failure of the cluster's.
    pub(crate) fn respond(&mut self, token: u32, response: Option<HttpResponse>) -> Result<(), Trap> {
        let count = |size: usize| u32::try_from(size).unwrap();
        let (headers, body) = response
            .as_ref()
            .map_or((0, 0), |answer| (count(answer.headers.len()), count(answer.body.len())));
        self.world().http_calls.retain(|call| call.token != token);
        self.world().http_response = response;
        self.call("proxy_on_http_call_response", &[ROOT, token, headers, body, 0])?;
        self.world().http_response = None;
        Ok(())
    }

    /// Returns the tables.
    pub(crate) fn world(&mut self) -> &mut World {
        self.store.data_mut()
    }

    /// Returns a connection.
    pub(crate) fn connection(&mut self, context: u32) -> &mut Connection {
        self.world().connections.get_mut(&context).expect("an open connection")
    }

    /// Returns the octets of the module's memory.
    pub(crate) fn memory(&mut self) -> usize {
        memory(self.instance.get_export(&mut self.store, "memory")).data_size(&self.store)
    }

    /// Calls back. Envoy does without what is not exported; what the callback returns is a number or nothing.
    pub(crate) fn call(&mut self, name: &str, arguments: &[u32]) -> Result<Option<u32>, Trap> {
        let Some(function) = self.instance.get_func(&mut self.store, name) else {
            return Ok(None);
        };
        self.world().context = arguments.first().copied().unwrap_or(0);
        let arguments: Vec<Val> = arguments
            .iter()
            .map(|argument| Val::I32(argument.cast_signed()))
            .collect();
        let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
        self.store.set_fuel(FUEL).unwrap();
        function
            .call(&mut self.store, &arguments, &mut results)
            .map_err(|error| Trap(format!("{name} {arguments:?}: {}", error.root_cause())))?;
        Ok(results.first().and_then(Val::i32).map(i32::cast_unsigned))
    }

    /// Returns how many instructions the last call took.
    pub(crate) fn spent(&self) -> u64 {
        FUEL - self.store.get_fuel().unwrap()
    }
}

fn memory(export: Option<Extern>) -> Memory {
    export
        .and_then(Extern::into_memory)
        .expect("the module exports its memory")
}

/// The module while it waits for the answer to a host call.
pub(crate) struct Guest<'a> {
    caller: Caller<'a, World>,
    /// How this call fails.
    fault: Option<How>,
}

impl<'a> Guest<'a> {
    fn answer(mut caller: Caller<'a, World>, call: calls::Call, arguments: &[Val]) -> u32 {
        let arguments: Vec<u64> = arguments
            .iter()
            .map(|argument| match argument {
                Val::I32(number) => u64::from(number.cast_unsigned()),
                Val::I64(number) => number.cast_unsigned(),
                other => panic!("no host call takes {other:?}"),
            })
            .collect();
        let fault = caller.data_mut().enter(call.name, call.kind);
        // The plugin's own context is there while its callbacks run.
        let own = call.name == "proxy_set_effective_context" && arguments == [u64::from(ROOT)];
        let fault = fault.filter(|_| !own);
        if let Some(How::Status(status)) = fault {
            return status;
        }
        match (call.answer)(&mut Guest { caller, fault }, &arguments) {
            Ok(()) => 0,
            Err(Status(status)) => status,
        }
    }

    /// Returns the tables.
    pub(crate) fn world(&mut self) -> &mut World {
        self.caller.data_mut()
    }

    /// Reads octets at an address.
    pub(crate) fn octets(&mut self, address: u64, length: u64) -> Result<Vec<u8>, Status> {
        let memory = memory(self.caller.get_export("memory"));
        let range = place(address, length)?;
        memory
            .data(&self.caller)
            .get(range)
            .map(<[u8]>::to_vec)
            .ok_or(Status::INVALID_MEMORY_ACCESS)
    }

    /// Reads a text.
    pub(crate) fn text(&mut self, address: u64, length: u64) -> Result<String, Status> {
        String::from_utf8(self.octets(address, length)?).map_err(|_| Status::BAD_ARGUMENT)
    }

    fn write(&mut self, address: u64, octets: &[u8]) -> Result<(), Status> {
        let memory = memory(self.caller.get_export("memory"));
        let range = place(address, octets.len() as u64)?;
        let target = memory
            .data_mut(&mut self.caller)
            .get_mut(range)
            .ok_or(Status::INVALID_MEMORY_ACCESS)?;
        target.copy_from_slice(octets);
        Ok(())
    }

    /// Answers with a number of 4 octets.
    pub(crate) fn give_word(&mut self, address: u64, number: u32) -> Result<(), Status> {
        match self.fault {
            Some(How::Unwritten) => Ok(()),
            #[expect(clippy::cast_possible_truncation, reason = "any number will do")]
            Some(How::Number(odd)) => self.write(address, &(odd as u32).to_le_bytes()),
            _ => self.write(address, &number.to_le_bytes()),
        }
    }

    /// Answers with a number of 8 octets.
    pub(crate) fn give_long(&mut self, address: u64, number: u64) -> Result<(), Status> {
        match self.fault {
            Some(How::Unwritten) => Ok(()),
            Some(How::Number(odd)) => self.write(address, &odd.to_le_bytes()),
            _ => self.write(address, &number.to_le_bytes()),
        }
    }

    /// Answers with octets: in memory that the module allots, as Envoy does it.
    pub(crate) fn give(&mut self, pointer: u64, length: u64, octets: &[u8]) -> Result<(), Status> {
        let huge;
        let octets = match self.fault {
            Some(How::Unwritten) => return Ok(()),
            Some(How::Null(odd)) => {
                self.write(pointer, &0_u32.to_le_bytes())?;
                return self.write(length, &odd.to_le_bytes());
            }
            Some(How::Octets(odd)) => odd,
            Some(How::Huge) => {
                huge = vec![b'x'; 1 << 20];
                &huge
            }
            _ => octets,
        };
        if octets.is_empty() {
            self.write(pointer, &0_u32.to_le_bytes())?;
            return self.write(length, &0_u32.to_le_bytes());
        }
        let size = u32::try_from(octets.len()).unwrap();
        let names = ["proxy_on_memory_allocate", "malloc"];
        let allot = names.iter().find_map(|name| self.caller.get_export(name)?.into_func());
        let mut result = [Val::I32(0)];
        allot
            .expect("the module allots memory")
            .call(&mut self.caller, &[Val::I32(size.cast_signed())], &mut result)
            .map_err(|_| Status::INVALID_MEMORY_ACCESS)?;
        let address = result[0].i32().unwrap_or(0).cast_unsigned();
        if address == 0 {
            return Err(Status::INVALID_MEMORY_ACCESS);
        }
        self.write(address.into(), octets)?;
        self.write(pointer, &address.to_le_bytes())?;
        self.write(length, &size.to_le_bytes())
    }
}

fn place(address: u64, length: u64) -> Result<std::ops::Range<usize>, Status> {
    let end = address.checked_add(length).ok_or(Status::INVALID_MEMORY_ACCESS)?;
    let number = |number: u64| usize::try_from(number).map_err(|_| Status::INVALID_MEMORY_ACCESS);
    Ok(number(address)?..number(end)?)
}
