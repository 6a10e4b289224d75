#!/usr/bin/env bash
# Runs inside the new file system: makes a kind node of it by kind's own files, as kind's image does, and /out.
set -euo pipefail

chmod 755 /kind-files/usr/local/bin/* /kind-files/kind/bin/*
cp -r /kind-files/usr /kind-files/etc /kind-files/kind /
rm -rf /kind-files
chmod 755 /kind /kind/bin
ln -sf /usr/bin/containerd /usr/bin/ctr /usr/bin/containerd-shim-runc-v2 /usr/local/bin/
ln -sf /usr/sbin/runc /usr/local/sbin/runc
mkdir -p /opt/cni/bin /etc/kubernetes/manifests /kind/manifests
cp /usr/lib/cni/{host-local,loopback,ptp,portmap} /opt/cni/bin/
rm -f /lib/systemd/system/containerd.service
find /lib/systemd/system/sysinit.target.wants/ -name systemd-tmpfiles-setup.service -delete
rm -f /lib/systemd/system/multi-user.target.wants/* /etc/systemd/system/*.wants/* \
  /lib/systemd/system/local-fs.target.wants/* /lib/systemd/system/sockets.target.wants/*{udev,initctl}* \
  /lib/systemd/system/basic.target.wants/*
echo ReadKMsg=no >>/etc/systemd/journald.conf
ln -sf /lib/systemd/systemd /sbin/init
systemctl enable kubelet.service containerd.service undo-mount-hacks.service
systemctl mask systemd-binfmt.service
ctr oci spec | jq '.hooks.createContainer += [{path: "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)' \
  >/etc/containerd/cri-base.json

mkdir -p /out/usr/{bin,sbin,lib,lib64} /out/{etc/ssl,run,var/lib} /out/usr/share/ca-certificates
mkdir -m 1777 /out/tmp
for folder in bin sbin lib lib64; do ln -s "usr/$folder" "/out/$folder"; done
cp -L /usr/sbin/{xtables-nft-multi,xtables-legacy-multi,nft,conntrack} /sbin/ip /out/usr/sbin/
for tool in iptables ip6tables; do
  for verb in '' -save -restore; do
    ln -sf xtables-nft-multi "/out/usr/sbin/$tool$verb"
    ln -sf xtables-nft-multi "/out/usr/sbin/$tool-nft$verb"
    ln -sf xtables-legacy-multi "/out/usr/sbin/$tool-legacy$verb"
  done
done
cp -L /bin/{bash,cat,ls,grep,sleep,busybox} /usr/bin/{curl,head,drill} /out/usr/bin/
ln -s bash /out/usr/bin/sh
for applet in $(busybox --list); do
  if [ ! -e "/out/usr/bin/$applet" ] && [ ! -e "/out/usr/sbin/$applet" ]; then ln -s busybox "/out/usr/bin/$applet"; fi
done
triplet=$(basename "$(dirname "$(ldconfig -p | sed -n 's/.* => \(.*\/libm\.so\.6\)/\1/p' | head -n 1)")")
mkdir -p "/out/usr/lib/$triplet"
cp -a "/usr/lib/$triplet/xtables" "/out/usr/lib/$triplet/"
{
  find /out/usr/bin /out/usr/sbin "/out/usr/lib/$triplet/xtables" -type f -exec ldd {} \; 2>/dev/null | grep -o '/[^ ]*\.so[^ ]*' || true
  ls /lib/"$triplet"/{libm.so.6,libpthread.so.0,libdl.so.2,librt.so.1,libresolv.so.2,libnss_files.so.2,libnss_dns.so.2,libgcc_s.so.1}
} | sort -u | while read -r library; do
  mkdir -p "/out$(dirname "$library")"
  cp -L "$library" "/out$library"
done
cp -a /etc/ssl/certs /out/etc/ssl/
cp -a /usr/share/ca-certificates/mozilla /out/usr/share/ca-certificates/
printf 'root:x:0:0:root:/root:/bin/sh\nistio-proxy:x:1337:1337::/tmp:/bin/sh\n' >/out/etc/passwd
printf 'root:x:0:\nistio-proxy:x:1337:\n' >/out/etc/group
echo 'hosts: files dns' >/out/etc/nsswitch.conf
