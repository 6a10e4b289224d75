//! Who may fetch which snapshots, by the credentials of the socket's peer.

use crate::{
    config::{Peer, Role, Socket},
    users,
};

/// Which peers may fetch the snapshots of which roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The configured peers, or else every process of this user.
    pub(super) rules: Result<Vec<Peer>, u32>,
    /// The overflow user and group, which stand for any unmapped ones and so identify nobody.
    pub(super) unmapped: [Option<u32>; 2],
}

impl Access {
    /// Makes it of the configuration; without `peers`, only the daemon's own user has access.
    #[must_use]
    pub fn new(socket: &Socket, own: u32) -> Self {
        Self {
            rules: socket.peers.clone().ok_or(own),
            unmapped: [users::overflow_user(), users::overflow_group()],
        }
    }

    /// Returns whether a process may fetch any snapshot.
    #[must_use]
    pub fn knows(&self, uid: u32, gid: u32) -> bool {
        [Role::Inbound, Role::Outbound]
            .into_iter()
            .any(|role| self.allows(uid, gid, role))
    }

    /// Returns whether a process may fetch the snapshots of a role.
    #[must_use]
    pub fn allows(&self, uid: u32, gid: u32, role: Role) -> bool {
        let [user, group] = self.unmapped;
        let is_user = |wanted: u32| wanted == uid && Some(uid) != user;
        let is_group = |wanted: u32| wanted == gid && Some(gid) != group;
        match &self.rules {
            Err(own) => is_user(*own),
            Ok(peers) => peers.iter().any(|peer| {
                peer.uid.is_none_or(is_user) && peer.gid.is_none_or(is_group) && peer.roles.contains(&role)
            }),
        }
    }
}
