#!/bin/sh
# Makes the image all other recipes start from: a minimal Debian, by debootstrap.
# usage: bootstrap.sh MIRROR TAG      (root; needs debootstrap and a container engine)
#
# Inside the containers apt works with the same mirror. npm, pip and Maven do not where the host's
# certificates are not the public ones: recipes fetch those on the host (prepare.sh) and COPY them in.
set -eu
mirror=$1
tag=$2

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
debootstrap --variant=minbase trixie "$directory/root" "$mirror"

# No package may start its service, and none needs its manual here.
printf '#!/bin/sh\nexit 101\n' > "$directory/root/usr/sbin/policy-rc.d"
chmod 755 "$directory/root/usr/sbin/policy-rc.d"
printf 'path-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\npath-exclude=/usr/share/locale/*\n' \
  > "$directory/root/etc/dpkg/dpkg.cfg.d/slim"
printf 'force-unsafe-io\n' > "$directory/root/etc/dpkg/dpkg.cfg.d/fast"
rm -rf "$directory/root/var/cache/apt/archives/"*.deb "$directory/root/var/lib/apt/lists/"*

tar -C "$directory/root" -c . | docker import - "$tag"
