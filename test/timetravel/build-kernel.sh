#!/bin/sh
# How is a kernel made whose clock is the capture's? Builds Debian's linux-source-6.12 as User Mode Linux with time travel.
#
#   test/timetravel/build-kernel.sh [FOLDER]      FOLDER: default ${XDG_CACHE_HOME:-~/.cache}/ctreplay
#
# JOBS sets the number of compilers (default: all cores). The kernel is FOLDER/uml/linux: an ordinary program of 8 MB.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/ctreplay}
source=linux-source-6.12
packages="$source gcc make flex bison bc xz-utils libc6-dev python3 conntrack nftables iptables iproute2 util-linux"

missing=
for package in $packages; do
  dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
if [ -n "$missing" ]; then
  echo "installing$missing" >&2
  apt-get update -q
  # shellcheck disable=SC2086 # one word per package
  apt-get install -y -q --no-install-recommends $missing
fi

mkdir -p "$folder/uml"
cd "$folder"
[ -e "$source/.unpacked" ] || { tar xf "/usr/src/$source.tar.xz" && touch "$source/.unpacked"; }

# A jiffy of one millisecond: captures' times rounded to milliseconds are then whole jiffies, and nothing is off by one.
sed -i '/^config HZ$/,/default/s/default 100$/default 1000/' "$source/arch/um/Kconfig"

uml() { make -C "$folder/$source" ARCH=um O="$folder/uml" "$@"; }
uml KCONFIG_ALLCONFIG="$here/kernel.config" allnoconfig > /dev/null
lost=$(grep '^CONFIG_' "$here/kernel.config" | grep -vxF -f "$folder/uml/.config" || true)
if [ -n "$lost" ] || ! grep -qx CONFIG_HZ=1000 "$folder/uml/.config"; then
  echo "the configuration did not take: $lost" >&2
  exit 1
fi
uml -j"${JOBS:-$(nproc)}" linux
ls -l "$folder/uml/linux"
