//! What Envoy calls: the module's exports. Each passes on to the plugin that it concerns.
//!
//! Only what is needed is exported, for Envoy calls what it finds. `proxy_on_downstream_data` is there because a
//! connection that is held would go on with its first data.
#![allow(
    unsafe_code,
    reason = "the symbols' names are fixed, and fixed names count as unsafe"
)]

use core::cell::Cell;

use crate::{
    config::Config,
    host::{self, Envoy},
    plugin::{Next, Plugin},
    proxy::{Call, ContextId},
    random::Identity,
};

/// The plugins of a VM.
#[derive(Default)]
struct Vm {
    /// Each root context, with its plugin once it is configured.
    roots: Vec<(u32, Option<Plugin>)>,
    /// What its plugins draw from.
    identity: Option<Identity>,
    /// The newest connection and its root: Envoy creates a connection's context as the connection comes.
    newest: Option<(u32, u32)>,
}

impl Vm {
    fn plugin(&mut self, root: u32) -> Option<&mut Plugin> {
        let (_, plugin) = self.roots.iter_mut().find(|(known, _)| *known == root)?;
        plugin.as_mut()
    }
}

thread_local! {
    /// Taken while a callback runs: one within another would find nothing, and change nothing.
    static VM: Cell<Option<Vm>> = const { Cell::new(None) };
}

fn with<T>(act: impl FnOnce(&mut Vm) -> T) -> T {
    let mut vm = VM.try_with(Cell::take).ok().flatten().unwrap_or_default();
    let result = act(&mut vm);
    let _ = VM.try_with(|place| place.set(Some(vm)));
    result
}

/// The number by which Envoy knows that it is not to go on with a connection.
const PAUSE: u32 = 1;

const fn number(next: Next) -> u32 {
    match next {
        Next::Continue => 0,
        Next::Stop => PAUSE,
    }
}

/// Says which ABI the module speaks; the name is all of it.
#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    host::allocate(size)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(context: u32, root: u32) {
    with(|vm| {
        if root == 0 {
            vm.roots.push((context, None));
        } else {
            vm.newest = Some((context, root));
        }
    });
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(root: u32, _size: usize) -> u32 {
    let json = host::configuration().unwrap_or_default();
    match Config::from_json(&json) {
        Ok(config) => {
            with(|vm| {
                let plugin = Plugin::new(config, &Envoy, ContextId(root), vm.identity);
                vm.identity = Some(plugin.identity());
                vm.roots.retain(|(known, _)| *known != root);
                vm.roots.push((root, Some(plugin)));
            });
            1
        }
        Err(error) => {
            host::log_error(&format!("configuration refused: {error}"));
            0
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_tick(root: u32) {
    with(|vm| {
        if let Some(plugin) = vm.plugin(root) {
            plugin.on_tick(&Envoy);
        }
    });
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_http_call_response(root: u32, call: u32, _headers: u32, _body: u32, _trailers: u32) {
    with(|vm| {
        if let Some(plugin) = vm.plugin(root) {
            plugin.on_response(Call(call), &Envoy);
            let identity = plugin.identity();
            vm.identity = Some(identity);
        }
    });
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_new_connection(connection: u32) -> u32 {
    with(|vm| {
        let root = vm.newest.take().filter(|(newest, _)| *newest == connection);
        let plugin = root.and_then(|(_, root)| vm.plugin(root));
        // Without a plugin, which cannot be while Envoy refuses what failed to configure, it stops.
        plugin.map_or(PAUSE, |plugin| {
            number(plugin.on_new_connection(ContextId(connection), &Envoy))
        })
    })
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_downstream_data(connection: u32, _size: usize, _end: u32) -> u32 {
    with(|vm| {
        let mut plugins = vm.roots.iter().filter_map(|(_, plugin)| plugin.as_ref()).peekable();
        // Without a plugin no connection was let go.
        let held =
            plugins.peek().is_none() || plugins.any(|plugin| plugin.on_data(ContextId(connection)) == Next::Stop);
        number(if held { Next::Stop } else { Next::Continue })
    })
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_delete(context: u32) {
    with(|vm| {
        vm.roots.retain(|(root, _)| *root != context);
        for (_, plugin) in &mut vm.roots {
            if let Some(plugin) = plugin {
                plugin.on_delete(ContextId(context), &Envoy);
            }
        }
    });
}
