#!/usr/bin/env bash
# Makes two file systems of Debian packages: rootfs.tar of a node, and tools.tar, a small one for images that need a
# shell, iptables or a C library.
#
#   kind-cluster/build/rootfs.sh FOLDER
set -euo pipefail
. "$(dirname "$0")/../lib.sh"

into=$1
for program in mmdebstrap jq; do
  have "$program" || apt_install "$program" debian-archive-keyring || die "$program is missing: apt-get install $program"
done
node=(systemd systemd-sysv dbus conntrack iptables nftables iproute2 ethtool util-linux mount kmod libseccomp2 e2fsprogs pigz
  bash ca-certificates curl jq procps containerd runc containernetworking-plugins iputils-ping)
tools=(busybox-static ldnsutils)
packages=$(IFS=, && echo "${node[*]},${tools[*]}")
# systemd 252 is the last one for hosts with cgroup v1.
mmdebstrap --variant=minbase --aptopt='APT::Install-Recommends "false"' --include="$packages" \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --customize-hook="copy-in '$into/kind-files' /" \
  --customize-hook="chroot \"\$1\" bash -eu <'$here/build/in-rootfs.sh'" \
  --customize-hook="tar-out /out '$into/tools.tar'" --customize-hook="rm -rf \"\$1/out\"" \
  bookworm "$into/rootfs.tar"
